"""The OCSP and CRL responder, with HTTP, requests and answers kept apart: honest from a CA directory, or as told."""

from __future__ import annotations

from certtools.forge import ResponderId
from mustaple.net.responder.app import ResponderApp
from mustaple.net.responder.log import RequestLog, RequestRecord
from mustaple.net.responder.question import CertId, Question, QuestionError, read_request
from mustaple.net.responder.reply import Answers, FunctionAnswers, Reply
from mustaple.net.responder.serving import ResponderServer

__all__ = [
    "Answers",
    "CertId",
    "FunctionAnswers",
    "Question",
    "QuestionError",
    "Reply",
    "RequestLog",
    "RequestRecord",
    "ResponderApp",
    "ResponderId",
    "ResponderServer",
    "read_request",
]
