"""A surveyor: surveys all respondents every second and counts who replied, failed, declined or left.

python examples/surveyor.py
python examples/respondent.py      in other terminals, as many as you like
"""

import asyncio
import contextlib
import logging

from colugo import Node


async def main() -> None:
    async with Node("surveyor") as node:
        surveyor = node.add_surveyor("disk.free", codec="json")
        print("waiting for the first respondent")
        await surveyor.ready()
        while True:
            survey = await surveyor.survey({"path": "/"}, timeout_ms=500)
            free = ", ".join(f"{reply} GB at {peer.node}" for peer, reply in survey.replies.items()) or "-"
            print(
                f"{len(survey.replies)} of {survey.asked} replied in {survey.elapsed_ms:.1f} ms: {free}; "
                f"failed {len(survey.failed)}, declined {len(survey.declined)}, "
                f"silent {len(survey.silent)}, left {len(survey.left)}"
            )
            await asyncio.sleep(1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
