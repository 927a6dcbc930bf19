import { z } from 'zod';

/** Links of a message that get a preview. */
export const MAX_PREVIEWS = 3;

/** What the page behind a link says of itself. All of it is plain text that strangers wrote. */
export const linkPreviewSchema = z
  .strictObject({
    url: z.string().meta({ description: 'The link as it stands in the message.' }),
    title: z.string(),
    description: z.string().meta({ description: 'May be empty.' }),
    imageUrl: z
      .string()
      .nullable()
      .meta({ description: 'An http or https address. The server has not looked at what is there.' }),
    siteName: z.string(),
  })
  .meta({ id: 'LinkPreview' });
export type LinkPreview = z.output<typeof linkPreviewSchema>;
