import { z } from 'zod';
import { reply } from '../controllers/reply';
import {
  CLIENT_EVENTS,
  EVENT_WINDOW_SECONDS,
  type ClientEventSpec,
} from '../models/kernel/client-events.model';
import { acknowledgedError } from '../models/kernel/error.model';
import { SERVER_EVENTS } from '../models/kernel/server-events.model';
import { publicRoute, REVALIDATED, type ApiRoute } from './api-route';

export const ASYNCAPI_PATH = '/asyncapi.json';

/**
 * Builds the AsyncAPI 3.0 document of the Socket.IO API from the event maps that also validate and type the events.
 * https://www.asyncapi.com/docs/reference/specification/v3.0.0
 */
export function buildAsyncApi(version: string, url: string): Record<string, unknown> {
  const schemas = new SchemaCollection();
  const messages: Record<string, object> = {};
  const operations: Record<string, object> = {};
  const channel = { $ref: '#/channels/socket' };
  const messageOf = (name: string) => ({ $ref: `#/channels/socket/messages/${name}` });

  const addMessage = (key: string, event: string, summary: string, payload: object) => {
    messages[key] = { name: event, title: event, summary, payload };
  };

  for (const [event, spec] of Object.entries<ClientEventSpec>(CLIENT_EVENTS)) {
    const { summary, payload } = spec;
    const key = keyOf(event);
    addMessage(key, event, summary, schemas.add(payload, 'input'));
    addMessage(`${key}.ack`, event, `The acknowledgement of \`${event}\`.`, acknowledgement(schemas, spec));
    operations[key] = {
      action: 'receive',
      channel,
      summary,
      messages: [messageOf(key)],
      reply: { channel, messages: [messageOf(`${key}.ack`)] },
    };
  }
  for (const [event, { summary, payload }] of Object.entries(SERVER_EVENTS)) {
    const key = keyOf(event);
    addMessage(key, event, summary, schemas.add(payload, 'output'));
    operations[key] = { action: 'send', channel, summary, messages: [messageOf(key)] };
  }
  const { host, protocol } = new URL(url);
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Parley',
      version,
      description:
        'Live events of the Parley chat server, over Socket.IO. A client connects with `auth: {token, client}`; `client` is optional and contains the name and version of the client, such as `web/1.4.2`. A client receives all events meant for its user without joining anything. Every event that a client sends has one payload and an acknowledgement. ' +
        `A socket that sends too many events within ${EVENT_WINDOW_SECONDS} seconds receives \`rate_limited\` with \`retryAfter\`, and is disconnected at twice the limit.`,
    },
    defaultContentType: 'application/json',
    servers: {
      parley: {
        host,
        pathname: '/socket.io/',
        protocol: protocol === 'https:' ? 'wss' : 'ws',
        security: [{ $ref: '#/components/securitySchemes/accessToken' }],
      },
    },
    channels: { socket: { address: '/', messages } },
    operations,
    components: {
      schemas: schemas.all,
      securitySchemes: {
        accessToken: {
          type: 'userPassword',
          description: 'An access token, as `auth.token` of the Socket.IO handshake.',
        },
      },
    },
  };
}

/** `GET /asyncapi.json`. */
export function asyncApiRoute(version: string, url: string): ApiRoute {
  let document: Record<string, unknown> | undefined;
  return publicRoute({
    method: 'get',
    path: ASYNCAPI_PATH,
    duringMaintenance: true,
    operationId: 'getAsyncApi',
    tag: 'Documentation',
    summary: 'Get the AsyncAPI document of the Socket.IO events.',
    cacheControl: REVALIDATED,
    replies: { 200: { description: 'The AsyncAPI 3.0 document.', schema: z.looseObject({}) } },
    handle: () => Promise.resolve(reply(200, (document ??= buildAsyncApi(version, url)))),
  });
}

/** Returns the key of an event in the document: references cannot contain a colon. */
const keyOf = (event: string) => event.replaceAll(':', '.');

function acknowledgement(schemas: SchemaCollection, { data, operation }: ClientEventSpec): object {
  const replayed = {
    const: true,
    description: 'The idempotency key was used before, and this is the first answer.',
  };
  const done = {
    type: 'object',
    properties: {
      ok: { const: true },
      data: schemas.add(data, 'output'),
      ...(operation !== undefined && { replayed }),
    },
    required: ['ok', 'data'],
    additionalProperties: false,
  };
  const failed = {
    type: 'object',
    properties: { ok: { const: false }, error: schemas.add(acknowledgedError, 'output') },
    required: ['ok', 'error'],
    additionalProperties: false,
  };
  return { oneOf: [done, failed] };
}

/** Collects JSON schemas. Each schema with a name is written once, under `components`. */
class SchemaCollection {
  readonly all: Record<string, object> = {};

  add(schema: z.ZodType, io: 'input' | 'output'): object {
    const { $schema: _, definitions, ...own } = z.toJSONSchema(schema, { target: 'draft-7', io });
    for (const [name, definition] of Object.entries(definitions ?? {})) {
      this.all[name] = pointToComponents(definition as object);
    }
    return pointToComponents(own);
  }
}

function pointToComponents(schema: object): object {
  const text = JSON.stringify(schema).replaceAll('"#/definitions/', '"#/components/schemas/');
  return JSON.parse(text) as object;
}
