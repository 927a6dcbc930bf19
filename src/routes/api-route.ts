import { Router, type Request, type RequestHandler, type Response } from 'express';
import { once } from 'node:events';
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

/** What a route is, for Express and for the OpenAPI document alike. */
export interface ApiRoute extends ClientRequirements {
  method: Method;
  /** The whole path as Express writes it: `/api/groups/:groupId`. */
  path: string;
  /** The name of the operation in generated clients. */
  operationId: string;
  tag: string;
  summary: string;
  params?: z.ZodObject;
  query?: z.ZodType;
  body?: z.ZodType;
  /** The file that it takes, in the place of a JSON body. */
  upload?: UploadSpec;
  /** How often one address may call it. */
  throttle?: Throttle;
  /** What it answers when it succeeds, by status. */
  replies: ReplySpecs;
  /** The header `Cache-Control` of a successful answer that caches may keep; `no-store` unless it is set. */
  cacheControl?: string;
  /** Set on a `post` that changes nothing. */
  reads?: true;
  /** How the answer to a write is kept for its Idempotency-Key: `atomic` unless it says otherwise. */
  idempotency?: IdempotencyMode;
  handle: (input: never) => Promise<Reply>;
}

/**
 * The `Cache-Control` of answers that are the same for everybody: caches may keep them, and ask each time, by the
 * `ETag` that Express sends along, whether they have changed.
 */
export const REVALIDATED = 'public, no-cache';

/** One answer of a route: with a body by `schema`, in `lines`, as a `file`, or with none of these and no body. */
export interface ReplySpec {
  description: string;
  /** The body. */
  schema?: z.ZodType;
  /** The media type of a body that is text; JSON if it is left out. */
  contentType?: string;
  /** The schema of each line of JSON, in an answer of many lines (`application/x-ndjson`). */
  records?: z.ZodType;
  /** The media type of a file, where the controller gives no other. */
  file?: string;
}

/** The replies of a route, by status. */
export type ReplySpecs = Record<number, ReplySpec>;

/** What a handler may return: one of the declared replies, its body typed by its schema. */
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

/** What the schemas of a route make of a request. */
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

/** Whether a route changes anything. */
export function isWrite({ method, reads }: ApiRoute): boolean {
  return method !== 'get' && !reads;
}

/** Declares a route that takes an access token. What its handler is given and may return follows from the schemas. */
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

/** Declares a route that anybody may call. */
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

/** What stands before the controllers of routes that need it. */
export interface Guards {
  /** What a route requires of its clients. */
  admit: (requirements: ClientRequirements) => RequestHandler[];
  /** For routes of the administration, after `admit`. */
  administrator: RequestHandler;
  /** For routes that limit how often one address may call them. */
  limit: (throttle: Throttle) => RequestHandler;
  /** For routes that write. */
  runIdempotently: RunIdempotently;
  /** For routes that take a file. */
  receive: (spec: UploadSpec) => RequestHandler;
}

/** Mounts routes: guards, validation, throttle, upload, controller, answer. */
export function mountRoutes(
  routes: readonly ApiRoute[],
  { admit, administrator, limit, runIdempotently, receive }: Guards,
): Router {
  const router = Router();
  for (const route of routes) {
    const guards = [...admit(route), ...(isAdministration(route) ? [administrator] : [])];
    const limits = route.throttle ? [limit(route.throttle)] : [];
    const uploads = route.upload ? [receive(route.upload)] : [];
    router[route.method](
      route.path,
      ...guards,
      validate(route),
      ...limits,
      ...uploads,
      answer(route, runIdempotently),
    );
  }
  // Nobody else learns which paths there are.
  router.use(ADMIN_PATH, ...admit({ authenticated: true }), administrator);
  return router;
}

/** @throws Error for one that takes no access token */
function isAdministration({ path, authenticated, operationId }: ApiRoute): boolean {
  if (!path.startsWith(`${ADMIN_PATH}/`)) return false;
  if (!authenticated) throw new Error(`${operationId} is administration, and must take an access token.`);
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

/** Sends one JSON line for each item, no faster than the client takes them. */
async function sendRecords(items: AsyncIterable<unknown>, response: Response): Promise<void> {
  for await (const item of items) {
    if (response.destroyed) return;
    if (!response.write(`${JSON.stringify(item)}\n`)) await drained(response);
  }
  response.end();
}

/** Resolves when the client has taken what was written, or is gone. */
async function drained(response: Response): Promise<void> {
  // What does not happen is not to be listened for any more: an answer may have to wait thousands of times.
  const listening = new AbortController();
  const { signal } = listening;
  await Promise.race([once(response, 'drain', { signal }), once(response, 'close', { signal })]).finally(() =>
    listening.abort(),
  );
}
