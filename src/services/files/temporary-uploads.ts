import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { UploadedFile } from '../../models/files/upload.model';
import { writeTemporary } from '../../utils/disk';

/** Takes in what is being uploaded, without ever holding more of it than a chunk. */
export class TemporaryUploads {
  /** @param folder it must exist before the first file comes in: `LocalFileStorage.start` makes it. */
  constructor(readonly folder: string) {}

  /**
   * Writes a stream to a temporary file, which is the caller's to remove.
   * @throws AppError storage_full; the stream's error. Nothing is left of the file then.
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
