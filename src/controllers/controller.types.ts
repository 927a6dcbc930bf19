import type { Caller, Origin } from '../models/identity/session.model';
import type { OpenFile } from '../services/files/file-storage';

/** The valid input of a route that anybody may call. */
export interface PublicRequest<Params = undefined, Query = undefined, Body = undefined, File = undefined> {
  params: Params;
  query: Query;
  body: Body;
  /** What was uploaded; there until the request has been answered. */
  file: File;
  origin: Origin;
}

/** The valid input of a route that takes an access token, and who calls. */
export interface CallerRequest<
  Params = undefined,
  Query = undefined,
  Body = undefined,
  File = undefined,
> extends PublicRequest<Params, Query, Body, File> {
  caller: Caller;
}

/** A file as an answer. Whoever sends it closes it. */
export interface FileReply {
  content: OpenFile;
  /** Another one for each other content: the ETag without its quotes. */
  tag: string;
  cacheControl: string;
  /** That of the route, if it is left out. */
  mediaType?: string;
  /** Set on what browsers may show in its place. */
  inline: boolean;
  /** What it is saved as. */
  name?: string;
}

/**
 * What a controller answers: no body with status 204; an async sequence goes out as one JSON line each; a file
 * in the place of a body.
 */
export interface Reply {
  status: number;
  body?: unknown;
  file?: FileReply;
}
