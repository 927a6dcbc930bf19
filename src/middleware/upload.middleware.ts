import type { Request, RequestHandler } from 'express';
import multer, { MulterError, type StorageEngine } from 'multer';
import { rm } from 'node:fs/promises';
import type { UploadedFile, UploadSpec } from '../models/files/upload.model';
import type { TemporaryUploads } from '../services/files/temporary-uploads';
import { AppError } from '../utils/errors';
import { inputOf } from './validate.middleware';

/** Room for what stands around the file in a multipart body, in bytes. */
const MULTIPART_OVERHEAD_BYTES = 16 * 1024;

type Field = Express.Multer.File & { upload?: UploadedFile };

/**
 * Receives the one file of a multipart/form-data body into a temporary file, which becomes part of the input and
 * which `discardUpload` removes. Stands behind `validate`.
 * A file that is too large is refused while it is still coming in.
 */
export function receiveUpload(spec: UploadSpec, temporaryUploads: TemporaryUploads): RequestHandler {
  const receive = multer({
    storage: storageOf(temporaryUploads),
    // As browsers write names.
    defParamCharset: 'utf8',
    limits: { fileSize: spec.maxBytes, files: 1, fields: 0, fieldNameSize: 100, headerPairs: 20 },
  }).single(spec.field);
  return (request, response, next) => {
    if (request.headers['content-type'] !== undefined && request.is('multipart/form-data') === false) {
      throw new AppError('unsupported_media_type', 'The body must be multipart/form-data.');
    }
    if (Number(request.headers['content-length']) > spec.maxBytes + MULTIPART_OVERHEAD_BYTES)
      throw tooLarge(spec);
    receive(request, response, (error: unknown) => {
      const field = request.file as Field | undefined;
      const file = field?.upload;
      if (file) inputOf(response).file = spec.named ? { ...file, name: field.originalname } : file;
      if (error !== undefined) next(asUploadError(error, spec));
      else if (!file) next(invalidForm(spec));
      else next();
    });
  };
}

/** Removes the temporary file when the request is over. */
export async function discardUpload(request: Request, { path }: UploadedFile): Promise<void> {
  await rm(path, { force: true }).catch((error: unknown) => {
    request.log.warn({ err: error }, 'an upload that is done with could not be removed');
  });
}

function storageOf(temporaryUploads: TemporaryUploads): StorageEngine {
  return {
    _handleFile: (_request, file, done) => {
      temporaryUploads.receive(file.stream).then(
        (upload) => done(null, { path: upload.path, upload } as Partial<Field>),
        (error: unknown) => done(error),
      );
    },
    _removeFile: (_request, file, done) => {
      rm(file.path, { force: true }).then(
        () => done(null),
        (error: Error) => done(error),
      );
    },
  };
}

function asUploadError(error: unknown, spec: UploadSpec): unknown {
  if (error instanceof AppError || !(error instanceof Error)) return error;
  if (error instanceof MulterError)
    return error.code === 'LIMIT_FILE_SIZE' ? tooLarge(spec) : invalidForm(spec);
  // Errors of the system are the server's own; the parser's have no code, and are the client's.
  if ('syscall' in error) return error;
  return new AppError('bad_request', 'The multipart body is malformed.');
}

function tooLarge({ maxBytes }: UploadSpec): AppError {
  return new AppError('payload_too_large', `The file has more than ${maxBytes / 1024 / 1024} MB.`);
}

function invalidForm({ field }: UploadSpec): AppError {
  const message = 'must be the one field of the form, and hold one file';
  return new AppError('validation_failed', `${field}: ${message}`, [{ path: field, message }]);
}
