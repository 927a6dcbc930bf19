/** A file that came with a request, in a temporary place until the request has been answered. */
export interface UploadedFile {
  path: string;
  /** In bytes. */
  size: number;
  /** SHA-256 of the content in hexadecimal digits: what the same upload sent again is recognised by. */
  sha256: string;
  /** What its sender called it, as it came: for routes that ask for it. */
  name?: string;
}

/** The one file that a route takes, in a multipart/form-data body. */
export interface UploadSpec {
  /** The name of the form field. */
  field: string;
  maxBytes: number;
  /** Media types, for the OpenAPI document. What the file really is, its content decides. */
  mediaTypes: readonly string[];
  /** Whether its name counts: the same content under another name is another upload then. */
  named?: true;
}

/** A part of a file: its first byte and its last, counted from 0. */
export interface ByteRange {
  start: number;
  end: number;
}
