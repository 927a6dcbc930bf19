import { Router, type Request, type RequestHandler, type Response } from 'express';
import type { z } from 'zod';
import type { CallerRequest, PublicRequest } from '../controllers/controller.types';
import type { BodyReply, FileReply, RecordsReply, Reply } from '../controllers/reply';
import { ADMIN_PATH } from '../middleware/admin.middleware';
import { callerOf } from '../middleware/auth.middleware';
import type { ClientRequirements } from '../middleware/client.middleware';
import type { RunIdempotently } from '../middleware/idempotency.middleware';
import { discardUpload } from '../middleware/upload.middleware';
import { inputOf, validate } from '../middleware/validate.middleware';
import type { IdempotencyMode } from '../models/idempotency/idempotency.model';
import type { Origin } from '../models/identity/session.model';
import type { Throttle } from '../models/operations/throttle.model';
import type { UploadedFile, UploadSpec } from '../models/files/upload.model';
import { sendFile } from './send-file';

export type Method = 'get' | 'post' | 'patch' | 'put' | 'delete';

/** The declaration of a route, for both Express and the OpenAPI document. */
export interface ApiRoute extends ClientRequirements {
  method: Method;
  /** The full path in the notation of Express: `/api/groups/:groupId`. */
  path: string;
  /** The name of the operation in generated clients. */
  operationId: string;
  tag: string;
  summary: string;
  params?: z.ZodObject;
  query?: z.ZodType;
  body?: z.ZodType;
  /** The file that it accepts instead of a JSON body. */
  upload?: UploadSpec;
  /** How often one address may call it. */
  throttle?: Throttle;
  /** The successful replies, by status. */
  replies: ReplySpecs;
  /** The header `Cache-Control` of successful answers, if caches may store them; `no-store` by default. */
  cacheControl?: string;
  /**
   * Set if the answer has a secret, such as a token, a ticket or the code of an invite. It is not compressed: its length
   * would tell somebody who can see the traffic, and put text into the answer, how much of the text is like the secret.
   */
  answersSecret?: true;
  /** Set for a `post` without side effects. */
  reads?: true;
  /** How the answer to a write is stored under its Idempotency-Key; `atomic` by default. */
  idempotency?: IdempotencyMode;
  handle: (input: never) => Promise<Reply>;
}

/**
 * The `Cache-Control` of answers that are equal for all clients: caches may store them, and must revalidate them at
 * each use with the `ETag` that Express sends.
 */
export const REVALIDATED = 'public, no-cache';

/** A reply of a route: a body described by `schema`, `records`, a `file`, or no body. */
export interface ReplySpec {
  description: string;
  /** The schema of the body. */
  schema?: z.ZodType;
  /** The media type of a text body; JSON by default. */
  contentType?: string;
  /** The schema of each record of an NDJSON body (`application/x-ndjson`). */
  records?: z.ZodType;
  /** The media type of a file, unless the controller sets another. */
  file?: string;
}

/** The replies of a route, by status. */
export type ReplySpecs = Record<number, ReplySpec>;

/** The return type of a handler: one of the declared replies, with the body typed by its schema. */
type ReplyOf<Specs extends ReplySpecs> = {
  [Status in keyof Specs & number]: Specs[Status] extends { records: infer Value extends z.ZodType }
    ? RecordsReply<z.output<Value>>
    : Specs[Status] extends { file: string }
      ? FileReply
      : Specs[Status] extends { schema: infer Body extends z.ZodType }
        ? BodyReply<Status, z.output<Body>>
        : BodyReply<Status, undefined>;
}[keyof Specs & number];

type Output<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;

/** The parts of a request after validation by the schemas of the route. */
interface ValidInput<Params, Query, Body, Upload> {
  params: Output<Params>;
  query: Output<Query>;
  body: Output<Body>;
  file: Upload extends UploadSpec ? UploadedFile : undefined;
}

type RouteOf<Params, Query, Body, Replies extends ReplySpecs, Request> = Omit<
  ApiRoute,
  'params' | 'query' | 'body' | 'upload' | 'replies' | 'handle' | 'authenticated'
> & {
  params?: Params;
  query?: Query;
  body?: Body;
  replies: Replies;
  handle: (request: Request) => Promise<ReplyOf<Replies>>;
};

/** Whether a route has side effects. */
export function isWrite({ method, reads }: ApiRoute): boolean {
  return method !== 'get' && !reads;
}

/** Declares a route that requires an access token. The types of the handler derive from the schemas. */
export function callerRoute<
  Replies extends ReplySpecs,
  Params extends z.ZodObject | undefined = undefined,
  Query extends z.ZodType | undefined = undefined,
  Body extends z.ZodType | undefined = undefined,
  Upload extends UploadSpec | undefined = undefined,
>(
  route: RouteOf<Params, Query, Body, Replies, CallerRequest<ValidInput<Params, Query, Body, Upload>>> & {
    upload?: Upload;
  },
): ApiRoute {
  return { ...route, authenticated: true } as ApiRoute;
}

/** Declares a route that needs no access token. The types of the handler derive from the schemas. */
export function publicRoute<
  Replies extends ReplySpecs,
  Params extends z.ZodObject | undefined = undefined,
  Query extends z.ZodType | undefined = undefined,
  Body extends z.ZodType | undefined = undefined,
>(
  route: RouteOf<Params, Query, Body, Replies, PublicRequest<ValidInput<Params, Query, Body, undefined>>>,
): ApiRoute {
  return { ...route, authenticated: false } as ApiRoute;
}

/** Whether the answers of a route may be compressed. Parts of files can be requested, so files are sent as they are. */
export function isCompressible({ answersSecret, replies }: ApiRoute): boolean {
  return !answersSecret && Object.values(replies).every(({ file }) => file === undefined);
}

/** The middleware that routes need before their controllers. */
export interface Guards {
  /** Compresses answers; undefined if that is switched off. */
  compress: RequestHandler | undefined;
  /** Checks what the route requires of its clients. */
  admit: (requirements: ClientRequirements) => RequestHandler[];
  /** For routes of the administration, after `admit`. */
  administrator: RequestHandler;
  /** For routes that limit the calls of one address. */
  limit: (throttle: Throttle) => RequestHandler;
  /** For routes that write. */
  runIdempotently: RunIdempotently;
  /** For routes that accept a file. */
  receive: (spec: UploadSpec) => RequestHandler;
}

/** Mounts routes: compression, guards, validation, throttle, upload, controller and answer, in this order. */
export function mountRoutes(
  routes: readonly ApiRoute[],
  { compress, admit, administrator, limit, runIdempotently, receive }: Guards,
): Router {
  const router = Router();
  for (const route of routes) {
    const compressions = compress && isCompressible(route) ? [compress] : [];
    const guards = [...admit(route), ...(isAdministration(route) ? [administrator] : [])];
    const limits = route.throttle ? [limit(route.throttle)] : [];
    const uploads = route.upload ? [receive(route.upload)] : [];
    router[route.method](
      route.path,
      ...compressions,
      ...guards,
      validate(route),
      ...limits,
      ...uploads,
      answer(route, runIdempotently),
    );
  }
  // Other users cannot find out which paths exist here.
  router.use(ADMIN_PATH, ...admit({ authenticated: true }), administrator);
  return router;
}

/** Whether a route belongs to the administration. @throws Error if it does not require an access token */
export function isAdministration({ path, authenticated, operationId }: ApiRoute): boolean {
  if (!path.startsWith(`${ADMIN_PATH}/`)) return false;
  if (!authenticated)
    throw new Error(`${operationId} belongs to the administration, so it must require an access token.`);
  return true;
}

function answer(route: ApiRoute, runIdempotently: RunIdempotently): RequestHandler {
  const handle = route.handle as (input: unknown) => Promise<Reply>;
  return async (request, response) => {
    const caller = route.authenticated ? { caller: callerOf(response) } : {};
    const input = inputOf(response);
    const { file } = input;
    const work = () => handle({ ...input, ...caller, origin: originOf(request, response) });
    const reply = (await (isWrite(route) ? runIdempotently(route, request, response, work) : work()).finally(
      () => file && discardUpload(request, file),
    )) as Reply;
    const spec = route.replies[reply.status];
    response.status(reply.status);
    if (route.cacheControl !== undefined) response.setHeader('Cache-Control', route.cacheControl);
    if ('file' in reply) {
      await sendFile(reply.file, request, response.type(spec?.file ?? 'application/octet-stream'));
    } else if ('records' in reply) await sendRecords(reply.records, response.type('application/x-ndjson'));
    else if (reply.body === undefined) response.end();
    else if (typeof reply.body === 'string') response.type(spec?.contentType ?? 'text').send(reply.body);
    else response.json(reply.body);
  };
}

function originOf(request: Request, response: Response): Origin {
  const { ip = '' } = request;
  return { address: ip, userAgent: request.get('user-agent') ?? '', signal: disconnectSignal(response) };
}

/** Aborts when the connection ends before the answer has been sent. */
function disconnectSignal(response: Response): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}

/** How much of an NDJSON body is sent at once, in characters. Compressing each record by itself would take much longer. */
const RECORDS_LENGTH = 16 * 1024;

/** Sends one NDJSON record per item, no faster than the client reads them. */
async function sendRecords(items: AsyncIterable<unknown>, response: Response): Promise<void> {
  // One listener for the whole answer, which may wait thousands of times: with compression, listeners of `drain` are added
  // to another stream, and `once` would not remove them there.
  let wake: () => void = () => undefined;
  for (const event of ['drain', 'close']) response.on(event, () => wake());
  let waiting = '';
  for await (const item of items) {
    if (response.destroyed) return;
    waiting += `${JSON.stringify(item)}\n`;
    if (waiting.length < RECORDS_LENGTH) continue;
    const read = new Promise<void>((resolve) => (wake = resolve));
    const isFull = !response.write(waiting);
    waiting = '';
    if (isFull && !response.destroyed) await read;
  }
  response.end(waiting);
}
