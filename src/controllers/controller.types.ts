import type { Caller, Origin } from '../models/session.model';

/** The valid input of a route that anybody may call. */
export interface PublicRequest<Params = undefined, Query = undefined, Body = undefined> {
  params: Params;
  query: Query;
  body: Body;
  origin: Origin;
}

/** The valid input of a route that takes an access token, and who calls. */
export interface CallerRequest<Params = undefined, Query = undefined, Body = undefined> extends PublicRequest<
  Params,
  Query,
  Body
> {
  caller: Caller;
}

/** What a controller answers: no body with status 204; an async sequence goes out as one JSON line each. */
export interface Reply {
  status: number;
  body?: unknown;
}
