// A still picture as a video stream: white and black for contrast, tall and wide for looks.

export function paintedStream(frame: string): MediaStream {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = frame === 'wide' ? [1280, 720] : [720, 1280];
  const paint = canvas.getContext('2d');
  if (!paint) throw new Error('no 2d canvas');
  const { width, height } = canvas;
  const draw = () => {
    if (frame === 'white' || frame === 'black') {
      paint.fillStyle = frame;
      paint.fillRect(0, 0, width, height);
      return;
    }
    const sky = paint.createLinearGradient(0, 0, 0, height);
    sky.addColorStop(0, '#d9c7ae');
    sky.addColorStop(0.6, '#a77f5f');
    sky.addColorStop(1, '#5b3f2f');
    paint.fillStyle = sky;
    paint.fillRect(0, 0, width, height);
    paint.fillStyle = '#2c4aa0';
    paint.beginPath();
    paint.ellipse(width / 2, height * 0.48, height * 0.14, height * 0.19, 0, 0, Math.PI * 2);
    paint.fill();
    paint.fillStyle = '#3f62c8';
    paint.fillRect(width / 2 - height * 0.05, height * 0.24, height * 0.1, height * 0.1);
  };
  draw();
  setInterval(draw, 100); // a captured canvas sends a frame when it is painted
  return canvas.captureStream(10);
}
