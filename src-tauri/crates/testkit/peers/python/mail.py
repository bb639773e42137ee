"""The organisation's mail: a FastMCP server over Streamable HTTP that is an OAuth resource server (RFC 9728).

Started as `python mail.py SETTINGS` with JSON settings; prints one line `ready <url>` when it can be asked. Every answer
names the account of the token that it was asked with. It must never answer without a valid token for its own URL, nor
one account in the session of another.
"""

import asyncio
import base64
import hashlib
import itertools
import json
import secrets
import socket
import sys
import time
from collections import defaultdict

import jwt
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
async def list_messages(limit: int = 10) -> dict:
    """List the newest messages of the mailbox."""
    # None of them is never answered, for whoever wants a call that is under way.
    if limit == 0:
        await asyncio.sleep(600)
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


def with_proofs(app):
    """What a server does that takes bound tokens only (RFC 9449, sections 7 and 9): each request proves possession of the
    token's key, with a nonce of the server's that changes after a few requests. No proof is good twice."""
    seen, nonces, answered = set(), [secrets.token_urlsafe(12)], itertools.count(1)

    def flaw(scope, headers):
        scheme, _, token = headers.get(b"authorization", b"").decode().partition(" ")
        if scheme.lower() != "dpop":
            return "invalid_token"
        proof = headers.get(b"dpop", b"").decode()
        try:
            header = jwt.get_unverified_header(proof)
            claims = jwt.decode(proof, jwt.PyJWK.from_dict(header["jwk"], "ES256"), algorithms=["ES256"])
            bound = jwt.decode(token, options={"verify_signature": False})["cnf"]["jkt"]
        except (jwt.PyJWTError, KeyError) as error:
            return f"invalid_dpop_proof {error}"
        jwk = {name: header["jwk"][name] for name in ("crv", "kty", "x", "y")}
        expected = {
            "htm": scope["method"],
            "htu": url,
            "ath": digest(token.encode()),
            "jkt": bound,
            "typ": "dpop+jwt",
            "private": False,
            "replayed": False,
        }
        found = {
            **{name: claims.get(name) for name in ("htm", "htu", "ath")},
            "jkt": digest(json.dumps(jwk, separators=(",", ":")).encode()),
            "typ": header["typ"],
            "private": "d" in header["jwk"],
            "replayed": claims["jti"] in seen,
        }
        seen.add(claims["jti"])
        if found != expected or abs(time.time() - claims["iat"]) > 60:
            return f"invalid_dpop_proof {found}"
        if claims.get("nonce") != nonces[-1]:
            return "use_dpop_nonce"
        return None

    async def proved(scope, receive, send):
        if scope["type"] != "http" or scope["path"] != "/mcp":
            return await app(scope, receive, send)
        headers = dict(scope["headers"])
        if b"authorization" in headers:
            why = flaw(scope, headers)
            print(f"proof {why or 'good'}", flush=True)
            if why:
                challenge = f'DPoP error="{why.split()[0]}", algs="ES256"'.encode()
                nonce = (b"dpop-nonce", nonces[-1].encode())
                await send({"type": "http.response.start", "status": 401, "headers": [(b"www-authenticate", challenge), nonce]})
                return await send({"type": "http.response.body", "body": b""})
            if next(answered) % 3 == 0:
                nonces.append(secrets.token_urlsafe(12))
            token = headers[b"authorization"].partition(b" ")[2]
            rest = [pair for pair in scope["headers"] if pair[0] not in (b"authorization", b"dpop")]
            scope = {**scope, "headers": [*rest, (b"authorization", b"Bearer " + token)]}

        async def challenged(message):
            if message["type"] == "http.response.start":
                renamed = [
                    (name, value.replace(b"Bearer", b"DPoP", 1) if name == b"www-authenticate" else value)
                    for name, value in message["headers"]
                ]
                message = {**message, "headers": renamed}
            await send(message)

        await app(scope, receive, challenged)

    return proved


def digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    app = mail.http_app(path="/mcp")
    if settings.get("header"):
        app = with_header(app, settings["header"])
    if settings.get("bound"):
        app = with_proofs(app)
    config = uvicorn.Config(app, log_level="info", lifespan="on")
    server = uvicorn.Server(config)
    startup = server.startup

    async def announce(sockets=None):
        await startup(sockets=sockets)
        print(f"ready {url}", flush=True)

    server.startup = announce
    server.run(sockets=[listener])
