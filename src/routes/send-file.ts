import { create as contentDisposition } from 'content-disposition';
import type { Request, Response } from 'express';
import { pipeline } from 'node:stream/promises';
import type { SentFile } from '../controllers/reply';
import type { ByteRange } from '../models/files/upload.model';
import { AppError } from '../utils/errors';

/**
 * Sends a file or the requested part of it, or 304 to a client that already has it. The headers forbid browsers to
 * guess another type and to run scripts in it.
 * @throws AppError range_not_satisfiable
 */
export async function sendFile(file: SentFile, request: Request, response: Response): Promise<void> {
  const { content, tag, cacheControl, mediaType, inline, name } = file;
  const etag = `"${tag}"`;
  try {
    const range = rangeOf(request, content.size, etag);
    if (range === 'unsatisfiable') {
      response.set('Content-Range', `bytes */${content.size}`);
      throw new AppError('range_not_satisfiable', 'The requested range is outside the file.');
    }
    if (mediaType !== undefined) response.type(mediaType);
    response.set({
      ETag: etag,
      'Last-Modified': content.modifiedAt.toUTCString(),
      'Cache-Control': cacheControl,
      'Accept-Ranges': 'bytes',
      'Content-Disposition': contentDisposition(name, { type: inline ? 'inline' : 'attachment' }),
      'Content-Security-Policy': "default-src 'none'; sandbox",
      'X-Content-Type-Options': 'nosniff',
      // Pages of other origins may show it in <img>, which helmet's default would forbid.
      'Cross-Origin-Resource-Policy': 'cross-origin',
    });
    if (request.fresh) {
      response.status(304).end();
      return;
    }
    if (range) response.status(206).set('Content-Range', `bytes ${range.start}-${range.end}/${content.size}`);
    response.set('Content-Length', String(range ? range.end - range.start + 1 : content.size));
    if (request.method === 'HEAD') response.end();
    else await pipeline(content.read(range), response);
  } catch (error) {
    // A client that disconnects during the download is not an error.
    if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  } finally {
    await content.close();
  }
}

/**
 * Returns the requested range; undefined for the whole file. The whole file is also sent for several ranges, for units
 * other than bytes, and if the file is not the one named by `If-Range`.
 */
function rangeOf(request: Request, size: number, etag: string): ByteRange | 'unsatisfiable' | undefined {
  const condition = request.get('if-range');
  if (request.method === 'HEAD' || (condition !== undefined && condition !== etag)) return undefined;
  const ranges = request.range(size, { combine: true });
  if (ranges === -1) return 'unsatisfiable';
  if (ranges === undefined || ranges === -2 || ranges.type !== 'bytes') return undefined;
  return ranges.length === 1 ? ranges[0] : undefined;
}
