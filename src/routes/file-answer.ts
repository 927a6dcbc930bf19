import type { Request, Response } from 'express';
import { pipeline } from 'node:stream/promises';
import type { FileReply } from '../controllers/controller.types';

/**
 * Sends a file, or 304 to a client that has it. The browser is told to take it for nothing but what it is, and
 * to run nothing in it.
 */
export async function sendFile(reply: FileReply, request: Request, response: Response): Promise<void> {
  const { content, tag, cacheControl } = reply;
  try {
    response.set({
      ETag: `"${tag}"`,
      'Last-Modified': content.modifiedAt.toUTCString(),
      'Cache-Control': cacheControl,
      'Content-Disposition': 'inline',
      'Content-Security-Policy': "default-src 'none'; sandbox",
      'X-Content-Type-Options': 'nosniff',
      // Pages of other origins show it in <img>; helmet's default would forbid that.
      'Cross-Origin-Resource-Policy': 'cross-origin',
    });
    if (request.fresh) {
      response.status(304).end();
      return;
    }
    response.set('Content-Length', String(content.size));
    if (request.method === 'HEAD') response.end();
    else await pipeline(content.read(), response);
  } catch (error) {
    // A client that goes away in the middle is no failure.
    if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  } finally {
    await content.close();
  }
}
