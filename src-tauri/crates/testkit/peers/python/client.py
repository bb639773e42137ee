"""An assistant: the MCP client of the package `mcp`.

Started as `python client.py REQUEST` with JSON:
  url      the MCP endpoint, or null
  started  {"command": [...], "environment": {...}} of a program to speak to over stdio instead, or null
  token    a bearer token to send, or null
  oauth    a file for registration and tokens; OAuth is done where the server asks for it. Null for none
  mode     "auto", "legacy" or a protocol revision
  steps    [["list"], ["call", NAME, ARGUMENTS], ...], done in order within one connection

Prints one JSON document: {"protocol", "server", "answers": [...]}, or {"failed": "..."} if there was no connection. An
answer is the server's result, or {"error": {"code", "message", "data"}}. A page for the person is opened by `xdg-open`.
"""

import asyncio
import json
import pathlib
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp.shared.exceptions import MCPError


class FileStorage:
    """Registration and tokens in one file."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def _read(self):
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    def _write(self, key, value):
        self.path.write_text(json.dumps({**self._read(), key: value.model_dump(mode="json", exclude_none=True)}))

    async def get_tokens(self):
        found = self._read().get("tokens")
        return OAuthToken.model_validate(found) if found else None

    async def set_tokens(self, tokens):
        self._write("tokens", tokens)

    async def get_client_info(self):
        found = self._read().get("client")
        return OAuthClientInformationFull.model_validate(found) if found else None

    async def set_client_info(self, client_info):
        self._write("client", client_info)


class Callback:
    """The loopback listener to which the browser returns."""

    def __init__(self):
        self.answer = asyncio.get_running_loop().create_future()

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/callback"

    async def _serve(self, reader, writer):
        line = (await reader.readline()).decode()
        while (await reader.readline()).strip():
            pass
        query = parse_qs(urlsplit(line.split(" ")[1]).query)
        text = b"You can close this page."
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text))
        await writer.drain()
        writer.close()
        if not self.answer.done():
            self.answer.set_result({name: values[0] for name, values in query.items()})

    async def wait(self):
        query = await self.answer
        if "error" in query:
            raise RuntimeError(f"authorization refused: {query['error']}")
        return AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss"))


async def oauth(request):
    callback = Callback()
    await callback.start()

    async def open_page(url):
        await asyncio.to_thread(subprocess.run, ["xdg-open", url], check=True)

    return OAuthClientProvider(
        server_url=request["url"],
        client_metadata=OAuthClientMetadata(
            client_name="Test assistant",
            redirect_uris=[callback.url],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            token_endpoint_auth_method="none",
        ),
        storage=FileStorage(request["oauth"]),
        redirect_handler=open_page,
        callback_handler=callback.wait,
    )


async def answer(client, step):
    try:
        match step:
            case ["list"]:
                result = await client.list_tools(cache_mode="bypass")
            case ["call", name, arguments]:
                result = await client.call_tool(name, arguments)
            case _:
                raise ValueError(f"unknown step {step}")
    except MCPError as error:
        detail = error.error
        return {"error": {"code": detail.code, "message": detail.message, "data": detail.data}}
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def talk(request, transport):
    async with Client(transport, mode=request.get("mode", "auto")) as client:
        server = client.server_info
        return {
            "protocol": client.protocol_version,
            "server": server.model_dump(mode="json", by_alias=True, exclude_none=True) if server else None,
            "answers": [await answer(client, step) for step in request["steps"]],
        }


async def main(request):
    if started := request.get("started"):
        program, *arguments = started["command"]
        return await talk(
            request,
            stdio_client(StdioServerParameters(command=program, args=arguments, env=started["environment"])),
        )
    headers = {"authorization": f"Bearer {request['token']}"} if request.get("token") else {}
    auth = await oauth(request) if request.get("oauth") else None
    async with httpx2.AsyncClient(headers=headers, auth=auth, timeout=60) as http:
        return await talk(request, streamable_http_client(request["url"], http_client=http))


def reasons(error):
    """The innermost reasons of a group of errors."""
    if isinstance(error, BaseExceptionGroup):
        return [reason for inner in error.exceptions for reason in reasons(inner)]
    return [f"{type(error).__name__}: {error}"]


if __name__ == "__main__":
    try:
        print(json.dumps(asyncio.run(main(json.loads(sys.argv[1])))))
    except BaseException as error:
        print(json.dumps({"failed": "; ".join(reasons(error))}))
