"""Prompts with vectors in them, answered by vLLM: in this process or by its server.

See docs/serving.md. Nothing here imports vLLM before an engine is opened.
"""

from latentreason_launch.serving.offline import generate_offline, open_engine
from latentreason_launch.serving.prompts import engine_prompts
from latentreason_launch.serving.server import VECTORS, chat_http, complete_http

__all__ = [
    "VECTORS",
    "chat_http",
    "complete_http",
    "engine_prompts",
    "generate_offline",
    "open_engine",
]
