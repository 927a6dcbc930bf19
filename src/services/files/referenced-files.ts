import type { Document } from 'mongodb';
import { isImage, type UploadDocument } from '../../models/files/attachment.model';
import { contentKey, thumbnailKey } from './attachments';
import { avatarKeys } from './avatar.service';

const avatarOf = ({ avatarId }: Document): string[] =>
  typeof avatarId === 'string' ? avatarKeys(avatarId) : [];

/** Returns the storage keys of the files that a document refers to, by the name of its collection in the database. */
export const REFERENCED_FILES: ReadonlyMap<string, (document: Document) => string[]> = new Map([
  ['users', avatarOf],
  ['groups', avatarOf],
  [
    'uploads',
    (document) => {
      const upload = document as UploadDocument;
      return [contentKey(upload), ...(isImage(upload) ? [thumbnailKey(upload)] : [])];
    },
  ],
]);
