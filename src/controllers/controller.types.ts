import type { Caller } from '../models/session.model';

/** The valid input of a route that anybody may call. */
export interface PublicRequest<Params = undefined, Query = undefined, Body = undefined> {
  params: Params;
  query: Query;
  body: Body;
}

/** The valid input of a route that takes an access token, and who calls. */
export interface CallerRequest<Params = undefined, Query = undefined, Body = undefined> extends PublicRequest<
  Params,
  Query,
  Body
> {
  caller: Caller;
}

/** What a controller answers; no body with status 204. */
export interface Reply {
  status: number;
  body?: unknown;
}
