"""What Schemathesis does not know by itself: lines of JSON, and who asks.

Where `FUZZER_CALLERS` names a file, each request is proved as the description says of it: by a fresh proof of the caller's key (RFC 9449), with
the token that is bound to it. Of the values that the file knows good ones for none, some or all are good, so that what comes after them is reached
too. Each request is from an address of its own, so that nobody asks for too much. Where `FUZZER_COUNTS` names a file, it says there afterwards how often
each operation was answered with which status.
"""

import atexit
import base64
import collections.abc
import hashlib
import json
import os
import random
import secrets
import time
from urllib.parse import urlsplit, urlunsplit

import requests
import schemathesis
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


@schemathesis.serializer("application/x-ndjson")
def lines(_context, value):
    if isinstance(value, bytes):
        return value
    return json.dumps(value, default=str).encode()


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Caller:
    """A key, and perhaps a token that is bound to it."""

    def __init__(self, key, token):
        self.key = serialization.load_pem_private_key(key.encode(), None)
        self.token = token

    def headers(self, method, url):
        point = self.key.public_key().public_numbers()
        jwk = {"kty": "EC", "crv": "P-256", "x": b64(point.x.to_bytes(32)), "y": b64(point.y.to_bytes(32))}
        head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
        claims = {"jti": b64(secrets.token_bytes(16)), "htm": method, "htu": url, "iat": int(time.time())}
        headers = {}
        if self.token:
            claims["ath"] = b64(hashlib.sha256(self.token.encode()).digest())
            headers["Authorization"] = f"DPoP {self.token}"
        signed = ".".join(b64(json.dumps(part).encode()) for part in (head, claims))
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        headers["DPoP"] = f"{signed}.{b64(r.to_bytes(32) + s.to_bytes(32))}"
        return headers


CALLERS, GOOD = {}, {}
COUNTS = collections.Counter()
CHANCE = random.Random(1)
if "FUZZER_CALLERS" in os.environ:
    with open(os.environ["FUZZER_CALLERS"]) as file:
        read = json.load(file)
    CALLERS = {scheme: Caller(it["key"], it.get("token")) for scheme, it in read["callers"].items()}
    GOOD = read["good"]


def caller_of(operation):
    """By the strongest of the schemes that the description asks for."""
    asked = {scheme for one in operation.definition.raw.get("security", []) for scheme in one}
    return next((CALLERS[scheme] for scheme in ("administration", "session", "key") if scheme in asked & CALLERS.keys()), None)


def made_good(values, good, share):
    if isinstance(values, collections.abc.MutableMapping):
        for name, value in good.items():
            if CHANCE.random() < share:
                values[name] = value


@schemathesis.hook
def before_call(context, case, **_kwargs):
    good = GOOD.get(context.operation.path, {})
    share = CHANCE.choice((0, 0.5, 1))
    for values, place in (case.body, "body"), (case.path_parameters, "path"), (case.headers, "headers"):
        made_good(values, good.get(place, {}), share)
    case.headers["x-forwarded-for"] = ".".join(str(CHANCE.randrange(256)) for _ in range(4))
    caller = caller_of(context.operation)
    if caller is None:
        return
    sent = case.as_transport_kwargs(base_url=context.operation.base_url)
    url = requests.Request(method=case.method, url=sent["url"]).prepare().url
    place = urlsplit(url)
    proved = caller.headers(case.method.upper(), urlunsplit((place.scheme, place.netloc, place.path, "", "")))
    case.headers.update(proved)


@schemathesis.hook
def after_call(context, case, response):
    COUNTS[f"{case.method.upper()} {case.operation.path} {response.status_code}"] += 1


@atexit.register
def tell():
    if "FUZZER_COUNTS" in os.environ:
        with open(os.environ["FUZZER_COUNTS"], "w") as file:
            json.dump(COUNTS, file)
