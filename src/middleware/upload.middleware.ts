import type { Request, RequestHandler } from 'express';
import multer, { MulterError, type StorageEngine } from 'multer';
import { rm } from 'node:fs/promises';
import type { UploadedFile, UploadSpec } from '../models/files/upload.model';
import type { TemporaryUploads } from '../services/files/temporary-uploads';
import { AppError } from '../utils/errors';
import { inputOf } from './validate.middleware';

/** The allowance for the parts of a multipart body around the file. */
const MULTIPART_OVERHEAD_BYTES = 16 * 1024;

type Field = Express.Multer.File & { upload?: UploadedFile };

/**
 * Receives the file of a multipart/form-data body into a temporary file, which becomes part of the input.
 * `discardUpload` deletes it. Requires `validate` before it. A file that is too large is refused while it is being
 * received.
 */
export function receiveUpload(spec: UploadSpec, temporaryUploads: TemporaryUploads): RequestHandler {
  const receive = multer({
    storage: storageOf(temporaryUploads),
    // Browsers encode file names in UTF-8.
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

/** Deletes the temporary file after the request. */
export async function discardUpload(request: Request, { path }: UploadedFile): Promise<void> {
  await rm(path, { force: true }).catch((error: unknown) => {
    request.log.warn({ err: error }, 'a temporary upload could not be deleted');
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
  // Errors of the operating system are errors of the server. Errors of the parser have no code and are client errors.
  if ('syscall' in error) return error;
  return new AppError('bad_request', 'The multipart body is malformed.');
}

function tooLarge({ maxBytes }: UploadSpec): AppError {
  return new AppError('payload_too_large', `The file is larger than ${maxBytes / 1024 / 1024} MB.`);
}

function invalidForm({ field }: UploadSpec): AppError {
  const message = 'must be the only field of the form, and contain one file';
  return new AppError('validation_failed', `${field}: ${message}`, [{ path: field, message }]);
}
