import { OpenAPIRegistry, OpenApiGeneratorV31, type RouteConfig } from '@asteasolutions/zod-to-openapi';
import { Router, type RequestHandler } from 'express';
import swaggerUi from 'swagger-ui-express';
import { z } from 'zod';
import { reply } from '../controllers/reply';
import { errorReply } from '../models/kernel/error.model';
import { idempotencyHeaders } from '../models/idempotency/idempotency.model';
import type { Throttle } from '../models/operations/throttle.model';
import type { UploadSpec } from '../models/files/upload.model';
import { clientHeaders } from '../models/operations/client-version.model';
import {
  isAdministration,
  isWrite,
  publicRoute,
  REVALIDATED,
  type ApiRoute,
  type ReplySpec,
} from './api-route';

export const OPENAPI_PATH = '/openapi.json';
export const API_DOCS_PATH = '/api-docs';

/** Builds the OpenAPI 3.1 document from the routes as they are mounted and the schemas that validate their input. */
export function buildOpenApi(routes: readonly ApiRoute[], version: string): Record<string, unknown> {
  const registry = new OpenAPIRegistry();
  const { name: scheme } = registry.registerComponent('securitySchemes', 'accessToken', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
  });
  for (const route of routes) registry.registerPath(describe(route, scheme));
  const document = new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: '3.1.0',
    info: {
      title: 'Parley',
      version,
      description:
        'The REST API of the Parley chat server. Live events are sent over Socket.IO; see docs/realtime.md of the project.',
    },
    servers: [{ url: '/' }],
  });
  return { ...document };
}

/** `GET /openapi.json`. */
export function openApiRoute(document: () => Record<string, unknown>): ApiRoute {
  return publicRoute({
    method: 'get',
    path: OPENAPI_PATH,
    duringMaintenance: true,
    operationId: 'getOpenApi',
    tag: 'Documentation',
    summary: 'Get this OpenAPI document.',
    cacheControl: REVALIDATED,
    replies: { 200: { description: 'The OpenAPI 3.1 document.', schema: z.looseObject({}) } },
    handle: () => Promise.resolve(reply(200, document())),
  });
}

/**
 * The page that shows the document. It consists of static files, so it is not a route of the API.
 * @param compress compresses answers.
 */
export function apiDocsPage(compress?: RequestHandler): Router {
  const router = Router();
  router.use(
    API_DOCS_PATH,
    ...(compress ? [compress] : []),
    allowCaching,
    swaggerUi.serve,
    swaggerUi.setup(undefined, { swaggerOptions: { url: OPENAPI_PATH } }),
  );
  return router;
}

const allowCaching: RequestHandler = (_request, response, next) => {
  response.setHeader('Cache-Control', REVALIDATED);
  next();
};

function describe(route: ApiRoute, scheme: string): RouteConfig {
  return {
    method: route.method,
    path: route.path.replace(/:(\w+)/g, '{$1}'),
    operationId: route.operationId,
    tags: [route.tag],
    summary: isAdministration(route) ? `${route.summary} Requires the role super admin.` : route.summary,
    security: route.authenticated ? [{ [scheme]: [] }] : [],
    request: {
      ...(route.params && { params: route.params }),
      ...(route.query && { query: route.query as NonNullable<RouteConfig['request']>['query'] }),
      headers: isWrite(route) ? clientHeaders.extend(idempotencyHeaders.shape) : clientHeaders,
      ...(route.body && {
        body: { required: true, content: { 'application/json': { schema: route.body } } },
      }),
      ...(route.upload && { body: describeUpload(route.upload) }),
    },
    responses: {
      ...Object.fromEntries(
        Object.entries(route.replies).map(([status, reply]) => [status, describeReply(reply)]),
      ),
      ...(route.throttle && { 429: describeThrottle(route.throttle) }),
      default: {
        description: 'An error, identified by its `code`.',
        content: { 'application/json': { schema: errorReply } },
      },
    },
  };
}

function describeThrottle({ calls, seconds }: Throttle) {
  return {
    description: `One address may make ${calls} such calls in ${seconds / 60} minutes. Further calls are answered with \`rate_limited\`.`,
    headers: {
      'Retry-After': {
        description: 'The number of seconds after which a retry may succeed, like `retryAfter` in the error.',
        schema: { type: 'integer' as const, minimum: 1 },
      },
    },
    content: { 'application/json': { schema: errorReply } },
  };
}

function describeUpload({ field, maxBytes, mediaTypes }: UploadSpec) {
  const description = `One file of at most ${maxBytes} bytes: ${mediaTypes.join(', ')}.`;
  const schema = {
    type: 'object' as const,
    properties: { [field]: { type: 'string' as const, format: 'binary', description } },
    required: [field],
    additionalProperties: false,
  };
  const encoding = { [field]: { contentType: mediaTypes.join(', ') } };
  return { required: true, content: { 'multipart/form-data': { schema, encoding } } };
}

function describeReply({ description, schema, contentType = 'application/json', records, file }: ReplySpec) {
  if (schema) return { description, content: { [contentType]: { schema } } };
  if (records) return { description, content: { 'application/x-ndjson': { schema: records } } };
  if (file === undefined) return { description };
  return { description, content: { [file]: { schema: { type: 'string' as const, format: 'binary' } } } };
}
