import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { UploadedFile } from '../../models/files/upload.model';
import { writeTemporary } from '../../utils/disk';

/** Writes uploads to temporary files, with no more than one chunk in memory. */
export class TemporaryUploads {
  /** @param folder must exist before the first upload; `LocalFileStorage.start` creates it. */
  constructor(readonly folder: string) {}

  /**
   * Writes a stream to a temporary file, which the caller removes.
   * @throws AppError storage_full, or the error of the stream; the file is removed then.
   */
  async receive(stream: Readable): Promise<UploadedFile> {
    const hash = createHash('sha256');
    const { path, result: size } = await writeTemporary(this.folder, async (file) => {
      let written = 0;
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        hash.update(chunk);
        await file.writeFile(chunk);
        written += chunk.length;
      }
      return written;
    });
    return { path, size, sha256: hash.digest('hex') };
  }
}
