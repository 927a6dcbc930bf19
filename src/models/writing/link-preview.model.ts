import { z } from 'zod';

/** The maximum number of link previews per message. */
export const MAX_PREVIEWS = 3;

/** The metadata of a linked page: plain text from an untrusted source. */
export const linkPreviewSchema = z
  .strictObject({
    url: z.string().meta({ description: 'The link as it appears in the message.' }),
    title: z.string(),
    description: z.string().meta({ description: 'May be empty.' }),
    imageUrl: z
      .string()
      .nullable()
      .meta({ description: 'An http or https URL. The server has not checked its content.' }),
    siteName: z.string(),
  })
  .meta({ id: 'LinkPreview' });
export type LinkPreview = z.output<typeof linkPreviewSchema>;
