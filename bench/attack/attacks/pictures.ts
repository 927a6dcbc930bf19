import sharp from 'sharp';
import { attackerAddress, type Attack } from '../attack';
import { register, upload } from '../http';

const SIDE = 4000;

/** Uploads are limited per address, so the addresses change. All uploads are by one user. */
export const pictures: Attack = {
  what: `one user uploads photographs of ${(SIDE * SIDE) / 1e6} megapixels, 30 at a time`,
  parallel: 30,
  async prepare(url) {
    const token = await register(url, 'photographer', attackerAddress(0));
    const picture = await sharp({
      create: {
        width: SIDE,
        height: SIDE,
        channels: 3,
        background: '#000',
        noise: { type: 'gaussian', mean: 128, sigma: 20 },
      },
    })
      .jpeg()
      .toBuffer();
    return (index) =>
      upload(url, token, attackerAddress(index), new Blob([picture]), `photograph${index}.jpg`);
  },
};
