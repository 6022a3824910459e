"""A bare FastAPI route that returns the bytes of a file: `python -m benchmarks.service.bare FILE PORT`."""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response


def bare_app(body: bytes) -> FastAPI:
    """Return an app with one route written in each of the two usual ways, and /healthz."""
    app = FastAPI()

    @app.post("/coroutine")
    async def coroutine() -> Response:
        return Response(body, media_type="application/json")

    @app.post("/function")
    def function() -> Response:
        return Response(body, media_type="application/json")

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app


if __name__ == "__main__":
    uvicorn.run(bare_app(Path(sys.argv[1]).read_bytes()), port=int(sys.argv[2]), log_level="warning")
