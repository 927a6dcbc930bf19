import type { UploadedFile } from '../models/files/upload.model';
import type { Caller, Origin } from '../models/identity/session.model';

/** The validated parts of a request. Each is present if the route has a schema for it. */
interface Input {
  params?: unknown;
  query?: unknown;
  body?: unknown;
  /** The uploaded file. It is deleted after the request has been answered. */
  file?: UploadedFile | undefined;
}

/** A request to a route that needs no access token: `PublicRequest<{ body: LoginInput }>`. */
export type PublicRequest<Valid extends Input = object> = Valid & { origin: Origin };

/** A request to a route that requires an access token: `CallerRequest<{ params: GroupParams }>`. */
export type CallerRequest<Valid extends Input = object> = PublicRequest<Valid> & { caller: Caller };
