// A broker for electronic identities: npm's oidc-provider with CIBA and the code flow, on a port of its own on the loopback.
// node eid.mjs FOLDER [PING] [BACK] [HOST]: FOLDER has node_modules; PING is where it pings, else it is polled; BACK is where it sends
// people back to, in clear on the loopback at any port; HOST is what it is called. Its first line says where it listens.
// POST /next {how, acr, sub, authTime, ...} decides what the next person does: of CIBA the oldest that waits, else the one at the page.
import http from 'node:http';
import { createRequire } from 'node:module';

const { default: Provider, errors } = createRequire(`${process.argv[2]}/`)('oidc-provider');
const ping = process.argv[3];
const back = process.argv[4] || 'https://page.example.com/person/back';
const host = process.argv[5] || '127.0.0.1';
const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://${host}:${server.address().port}`;
  const waiting = [];
  let person = {};
  const names = {};
  const client = (id, auth) => ({
    client_id: id, client_secret: 'g'.repeat(40), token_endpoint_auth_method: auth, id_token_signed_response_alg: 'RS256',
    grant_types: ['urn:openid:params:grant-type:ciba', 'authorization_code'], response_types: ['code'],
    redirect_uris: [back], application_type: back.startsWith('https:') ? 'web' : 'native', backchannel_token_delivery_mode: ping ? 'ping' : 'poll',
    ...(ping && { backchannel_client_notification_endpoint: ping }),
  });
  const provider = new Provider(issuer, {
    clients: [client('tillit', 'client_secret_basic'), client('other', 'client_secret_basic')],
    acrValues: ['urn:level:low', 'urn:level:high'],
    claims: { openid: ['sub', 'personal_number', 'name'], acr: null, auth_time: null },
    conformIdTokenClaims: false,
    // its own refuses the loopback
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
    pkce: { required: () => true },
    findAccount: (ctx, id) => ({
      accountId: id, claims: async () => ({ sub: id, personal_number: id.replace('user-', ''), name: names[id] || 'Karl Canaryson' }),
    }),
    interactions: { url: (ctx, found) => `/person/${found.uid}` },
    features: {
      devInteractions: { enabled: false },
      ciba: {
        enabled: true, deliveryModes: [ping ? 'ping' : 'poll'],
        processLoginHint: async (ctx, hint) => (/^pno:\d{12}$/.test(hint) ? `user-${hint.slice(4)}` : undefined),
        verifyUserCode: async () => {},
        validateRequestContext: async () => {},
        validateBindingMessage: async (ctx, message) => {
          if (message && message.length > 64) throw new errors.InvalidBindingMessage(`canary ${message}`);
        },
        triggerAuthenticationDevice: async (ctx, request, account, asking) => {
          const { binding_message: message, acr_values: acr, scope } = ctx.oidc.params;
          waiting.push({ request, account, asking, message, acr, scope });
        },
      },
    },
  });
  provider.on('server_error', (ctx, error) => console.error('server_error', error));
  const granted = async (account, clientId, scope) => {
    const grant = new provider.Grant({ accountId: account, clientId });
    grant.addOIDCScope(scope);
    await grant.save();
    return grant;
  };
  const decided = async ({ how, acr, sub, authTime }) => {
    const one = waiting.shift();
    if (how === 'approve') {
      const account = sub || one.account.accountId;
      one.request.accountId = account;
      const grant = await granted(account, one.asking.clientId, one.scope);
      await provider.backchannelResult(one.request, grant, { acr, authTime: authTime || Math.floor(Date.now() / 1000) });
    } else {
      await provider.backchannelResult(one.request, new errors.AccessDenied('canary'));
    }
    return { message: one.message, acr: one.acr, scope: one.scope };
  };
  const identified = async (req, res) => {
    const { prompt, params } = await provider.interactionDetails(req, res);
    if (person.how !== 'approve') {
      return provider.interactionFinished(req, res, { error: 'access_denied', error_description: 'canary' });
    }
    if (person.name) names[person.sub] = person.name;
    const grant = await granted(person.sub, params.client_id, params.scope);
    const result = { login: { accountId: person.sub, acr: person.acr, amr: ['eid'], ts: person.authTime }, consent: { grantId: await grant.save() } };
    return provider.interactionFinished(req, res, result, { mergeWithLastSubmission: prompt.name !== 'login' });
  };
  const handler = provider.callback();
  server.on('request', async (req, res) => {
    try {
      if (req.url === '/next') {
        let body = '';
        for await (const part of req) body += part;
        const said = JSON.parse(body);
        if (said.page) person = said;
        res.end(JSON.stringify(said.page ? {} : await decided(said)));
      } else if (req.url.startsWith('/person/')) {
        await identified(req, res);
      } else {
        handler(req, res);
      }
    } catch (error) {
      res.statusCode = 500;
      res.end(String(error));
    }
  });
  console.log(issuer);
});
