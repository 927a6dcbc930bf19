/** A file that came with a request, in a temporary place until the request has been answered. */
export interface UploadedFile {
  path: string;
  /** In bytes. */
  size: number;
  /** SHA-256 of the content in hexadecimal digits: what the same upload sent again is recognised by. */
  sha256: string;
}

/** The one file that a route takes, in a multipart/form-data body. */
export interface UploadSpec {
  /** The name of the form field. */
  field: string;
  maxBytes: number;
  /** Media types, for the OpenAPI document. What the file really is, its content decides. */
  mediaTypes: readonly string[];
}
