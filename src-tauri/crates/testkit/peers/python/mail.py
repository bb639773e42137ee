"""The organisation's mail: a FastMCP server over Streamable HTTP that is an OAuth resource server (RFC 9728).

Started as `python mail.py SETTINGS` with JSON settings; prints one line `ready <url>` when it can be asked. Every answer
names the account of the token that it was asked with. It must never answer without a valid token for its own URL, nor
one account in the session of another.
"""

import json
import socket
import sys
from collections import defaultdict

import uvicorn
from fastmcp import FastMCP
from fastmcp.server.auth import RemoteAuthProvider
from fastmcp.server.auth.providers.jwt import JWTVerifier, StaticTokenVerifier
from fastmcp.server.dependencies import get_access_token, get_http_request
from fastmcp.exceptions import ToolError

settings = json.loads(sys.argv[1])
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", settings["port"]))
base = f"http://127.0.0.1:{listener.getsockname()[1]}"
url = f"{base}/mcp"


def auth_by_issuer(issuer: str) -> RemoteAuthProvider:
    verifier = JWTVerifier(
        jwks_uri=f"{issuer}/jwks",
        issuer=issuer,
        audience=url,
        algorithm="RS256",
        required_scopes=["mail.read"],
        jwks_refresh_interval=0,
    )
    return RemoteAuthProvider(
        token_verifier=verifier,
        authorization_servers=[issuer],
        base_url=base,
        scopes_supported=["mail.read", "mail.send"],
    )


def auth_by_tokens(tokens: dict) -> StaticTokenVerifier:
    """Tokens that were handed out: to each its person."""
    known = {
        token: {"client_id": person, "sub": person, "scopes": ["mail.read", "mail.send"]}
        for token, person in tokens.items()
    }
    return StaticTokenVerifier(tokens=known, required_scopes=["mail.read"])


tokens = settings.get("tokens")
auth = auth_by_issuer(settings["issuer"]) if tokens is None else auth_by_tokens(tokens)
mail = FastMCP("Mail", version="1.0.0", auth=auth)

messages = defaultdict(
    lambda: [{"from": "it@acme.test", "subject": "Welcome", "body": "Your mailbox is ready."}]
)


owners = {}


def account() -> str:
    asking = get_access_token().claims["sub"]
    session = get_http_request().headers.get("mcp-session-id")
    if session and owners.setdefault(session, asking) != asking:
        raise ToolError("this session is another account's")
    return asking


@mail.tool(annotations={"readOnlyHint": True})
def list_messages(limit: int = 10) -> dict:
    """List the newest messages of the mailbox."""
    return {"account": account(), "messages": messages[account()][-limit:]}


@mail.tool(annotations={"destructiveHint": False})
def send_message(to: str, subject: str, body: str) -> dict:
    """Send a message to one address."""
    if "mail.send" not in get_access_token().scopes:
        raise ToolError("this token may not send")
    sender = account()
    messages[to.removesuffix("@acme.test")].append({"from": f"{sender}@acme.test", "subject": subject, "body": body})
    return {"account": sender, "to": to}


def with_header(app, name: str):
    """What a proxy before such a server does: the token is in a header of this name, and nothing else counts."""

    async def only_there(scope, receive, send):
        if scope["type"] == "http":
            headers = [pair for pair in scope["headers"] if pair[0] not in (b"authorization", name)]
            headers += [(b"authorization", b"Bearer " + value) for key, value in scope["headers"] if key == name]
            scope = {**scope, "headers": headers}
        await app(scope, receive, send)

    name = name.lower().encode()
    return only_there


if __name__ == "__main__":
    app = mail.http_app(path="/mcp")
    if settings.get("header"):
        app = with_header(app, settings["header"])
    config = uvicorn.Config(app, log_level="info", lifespan="on")
    server = uvicorn.Server(config)
    startup = server.startup

    async def announce(sockets=None):
        await startup(sockets=sockets)
        print(f"ready {url}", flush=True)

    server.startup = announce
    server.run(sockets=[listener])
