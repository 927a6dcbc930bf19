/** A file that was uploaded with a request. It is in a temporary folder until the request has been answered. */
export interface UploadedFile {
  path: string;
  /** In bytes. */
  size: number;
  /** The SHA-256 hash of the content in hexadecimal digits, by which a repeated upload is recognised. */
  sha256: string;
  /** The file name as the client sent it. Only for routes with a `named` upload. */
  name?: string;
}

/** The one file that a route accepts, in a multipart/form-data body. */
export interface UploadSpec {
  /** The name of the form field. */
  field: string;
  maxBytes: number;
  /** The media types, for the OpenAPI document. The actual type is detected from the content. */
  mediaTypes: readonly string[];
  /** Whether the name matters: the same content under another name is another upload. */
  named?: true;
}

/** A part of a file: its first and its last byte, both counted from 0 and included. */
export interface ByteRange {
  start: number;
  end: number;
}
