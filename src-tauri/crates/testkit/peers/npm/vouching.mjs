// Identity providers that vouch for people, and authorization servers that believe them (Identity Assertion JWT
// Authorization Grant): two grants that oidc-provider does not have by itself. Each side checks what a stranger would.
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';
const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token';
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';
const TYPE = 'oauth-id-jag+jwt';

export async function vouching(provider, { packages, errors, issuer, signingKey, people, resourceServer }) {
  const entry = path.join(packages, 'node_modules/jose/dist/webapi/index.js');
  const { SignJWT, createLocalJWKSet, createRemoteJWKSet, decodeJwt, importJWK, jwtVerify } = await import(pathToFileURL(entry).href);
  const { d, p, q, dp, dq, qi, ...publicKey } = signingKey;
  const own = createLocalJWKSet({ keys: [{ ...publicKey, kid: 'signing', alg: 'RS256' }] });
  const key = await importJWK(signingKey, 'RS256');

  const audiences = new Map();
  const believed = new Set();
  const seen = new Set();
  const no = (why) => new errors.InvalidGrant(why);

  const trusted = new Map();

  // A token for somebody about whom another party signs (RFC 8693).
  async function exchangeForAccess(context) {
    const { params, client } = context.oidc;
    const from = (() => { try { return decodeJwt(params.subject_token).iss; } catch { return undefined; } })();
    if (!trusted.has(from)) throw no('this issuer is not trusted');
    const keys = createRemoteJWKSet(new URL(trusted.get(from)));
    const expected = { issuer: from, audience: `${issuer}/token`, maxTokenAge: '60s' };
    const verified = await jwtVerify(params.subject_token, keys, expected).catch(() => undefined);
    const claims = verified?.payload;
    if (!claims?.jti || seen.has(claims.jti)) throw no('the subject token is not good, or was used');
    seen.add(claims.jti);
    if (!people.has(claims.sub)) throw no('nobody of this name is known here');
    const body = await accessToken(context, client, claims.sub, params.resource, params.scope);
    console.log(`exchanged ${claims.sub}`);
    context.body = { ...body, issued_token_type: ACCESS_TOKEN };
  }

  async function accessToken(context, client, login, resource, wanted) {
    const server = new provider.ResourceServer(resource, resourceServer(context, resource));
    const scope = (wanted ?? '').split(' ').filter((name) => server.scopes.has(name)).join(' ');
    const grant = new provider.Grant({ accountId: login, clientId: client.clientId });
    grant.addResourceScope(resource, scope);
    const token = new provider.AccessToken({ accountId: login, client, grantId: await grant.save(), gty: 'jwt-bearer' });
    token.resourceServer = server;
    token.scope = scope;
    return { access_token: await token.save(), token_type: 'Bearer', expires_in: token.expiration, scope };
  }

  async function exchange(context) {
    const { params, client } = context.oidc;
    if (params.requested_token_type === ACCESS_TOKEN && params.subject_token_type === JWT) return exchangeForAccess(context);
    if (params.requested_token_type !== ID_JAG || params.subject_token_type !== ID_TOKEN) {
      throw new errors.InvalidRequest('an ID token is exchanged for an assertion, and nothing else');
    }
    const verified = await jwtVerify(params.subject_token, own, { issuer, audience: client.clientId }).catch(() => undefined);
    const login = verified?.payload.sub;
    if (!people.has(login)) throw no('the subject token is not of anybody here');
    const there = audiences.get(params.audience);
    if (!there) throw new errors.InvalidTarget('nobody is vouched for there');
    const assertion = await new SignJWT({ client_id: there.client_id, resource: params.resource, scope: params.scope })
      .setProtectedHeader({ alg: 'RS256', typ: TYPE, kid: 'signing' })
      .setIssuer(issuer).setSubject(login).setAudience(params.audience)
      .setIssuedAt().setExpirationTime('2m').setJti(crypto.randomUUID()).sign(key);
    console.log(`vouched ${login}`);
    context.body = { access_token: assertion, issued_token_type: ID_JAG, token_type: 'N_A', expires_in: 120 };
  }

  async function believe(context) {
    const { params, client } = context.oidc;
    const from = (() => { try { return decodeJwt(params.assertion).iss; } catch { return undefined; } })();
    if (!believed.has(from)) throw no('this issuer is not believed');
    const keys = createRemoteJWKSet(new URL(`${from}/jwks`));
    const verified = await jwtVerify(params.assertion, keys, { issuer: from, audience: issuer, typ: TYPE }).catch(() => undefined);
    const claims = verified?.payload;
    if (!claims || claims.aud !== issuer || claims.client_id !== client.clientId || claims.resource !== params.resource) {
      throw no('the assertion is not for this');
    }
    if (!claims.jti || seen.has(claims.jti)) throw no('the assertion was used');
    seen.add(claims.jti);
    if (!people.has(claims.sub)) throw no('nobody of this name is known here');
    const body = await accessToken(context, client, claims.sub, claims.resource, claims.scope);
    console.log(`believed ${claims.sub}`);
    context.body = body;
  }

  provider.registerGrantType(TOKEN_EXCHANGE, exchange, ['audience', 'resource', 'scope', 'requested_token_type', 'subject_token', 'subject_token_type']);
  provider.registerGrantType(JWT_BEARER, believe, ['assertion', 'resource', 'scope']);

  // What an administrator sets: for whom to vouch, and whom to believe; and which clients may use it.
  return async function administer({ client, vouch, believe: other, trust }) {
    const found = await provider.Client.find(client);
    if (vouch) {
      audiences.clear();
      for (const { audience, client_id } of vouch) audiences.set(audience, { client_id });
      if (!found.grantTypes.includes(TOKEN_EXCHANGE)) found.grantTypes.push(TOKEN_EXCHANGE);
    }
    if (trust) {
      trusted.set(trust.issuer, trust.keys);
      if (!found.grantTypes.includes(TOKEN_EXCHANGE)) found.grantTypes.push(TOKEN_EXCHANGE);
    }
    if (other) {
      believed.add(other);
      if (!found.grantTypes.includes(JWT_BEARER)) found.grantTypes.push(JWT_BEARER);
    }
  };
}
