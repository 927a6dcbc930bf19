import { z } from 'zod';
import { reply } from '../controllers/reply';
import { publicRoute, REVALIDATED, type ApiRoute } from './api-route';
import { ASYNCAPI_PATH } from './asyncapi.routes';
import { API_DOCS_PATH, OPENAPI_PATH } from './openapi.routes';

/** The page at `/`, which says what the server is and links to the documentation. */
export function homeRoute(version: string, url: string): ApiRoute {
  return publicRoute({
    method: 'get',
    path: '/',
    duringMaintenance: true,
    operationId: 'home',
    tag: 'Documentation',
    summary: 'Get a page about this server.',
    cacheControl: REVALIDATED,
    replies: { 200: { description: 'The page.', schema: z.string(), contentType: 'text/html' } },
    handle: () => Promise.resolve(reply(200, page(version, url))),
  });
}

const page = (version: string, url: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parley</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 54rem; margin: 3rem auto; padding: 0 1rem; }
  pre { padding: 1rem; overflow-x: auto; border: 1px solid #8886; border-radius: .5rem; }
</style>
</head>
<body>
<h1>Parley ${version}</h1>
<p>The chat server is running. Clients speak REST under <code>/api</code>, Socket.IO at its default path and
PeerJS at <code>/peerjs</code>.</p>
<ul>
  <li><a href="${API_DOCS_PATH}">API documentation</a>, where every call can be tried</li>
  <li><a href="${OPENAPI_PATH}">OpenAPI document</a>, to generate a client from</li>
  <li><a href="${ASYNCAPI_PATH}">AsyncAPI document</a> of the live events</li>
  <li><a href="/health/ready">Health</a></li>
</ul>
<h2>The first account</h2>
<p>The first account that registers becomes super admin. For example:</p>
<pre><code>curl -H 'Content-Type: application/json' \\
  -d '{"username":"ada","email":"ada@example.org","password":"correct horse battery"}' \\
  ${url}/api/auth/register</code></pre>
</body>
</html>
`;
