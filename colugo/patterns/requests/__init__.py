"""Request/reply and surveys: clients, servers, surveyors and respondents."""
