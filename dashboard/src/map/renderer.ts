/** Draws a map's points with WebGL2: one call for all of them, however many. */

import type { Camera, MapData } from './layout';

const VERTEX = `#version 300 es
in vec2 place;
in vec3 colour;
in float chosen;
uniform vec2 middle;
uniform vec2 scale;
uniform float size;
uniform float choosing;
out vec3 shade;
out float strength;
void main() {
  gl_Position = vec4((place - middle) * scale, 0.0, 1.0);
  gl_PointSize = size * (chosen > 0.5 ? 1.6 : 1.0);
  shade = colour;
  strength = choosing > 0.5 && chosen < 0.5 ? 0.16 : 0.86;
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec3 shade;
in float strength;
out vec4 painted;
void main() {
  float edge = length(gl_PointCoord - 0.5);
  float cover = 1.0 - smoothstep(0.38, 0.5, edge);
  painted = vec4(shade, 1.0) * cover * strength;
}`;

export class Renderer {
  readonly #gl: WebGL2RenderingContext;
  readonly #count: number;
  readonly #at: Record<'middle' | 'scale' | 'size' | 'choosing', WebGLUniformLocation | null>;
  readonly #colours: WebGLBuffer;
  readonly #chosen: WebGLBuffer;
  #choosing = false;

  /** Raises where there is no WebGL2. */
  constructor(canvas: HTMLCanvasElement, map: MapData) {
    const gl = canvas.getContext('webgl2', { alpha: true, antialias: false });
    if (!gl) throw new Error('This browser has no WebGL2.');
    this.#gl = gl;
    this.#count = map.count;
    const program = link(gl);
    gl.useProgram(program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    const places = new Float32Array(2 * map.count);
    for (let point = 0; point < map.count; point++) {
      places[2 * point] = map.x[point]!;
      places[2 * point + 1] = map.y[point]!;
    }
    attribute(gl, program, 'place', 2, places);
    this.#colours = attribute(gl, program, 'colour', 3, new Float32Array(3 * map.count));
    this.#chosen = attribute(gl, program, 'chosen', 1, new Float32Array(map.count));
    const at = (name: string) => gl.getUniformLocation(program, name);
    this.#at = {
      middle: at('middle'),
      scale: at('scale'),
      size: at('size'),
      choosing: at('choosing'),
    };
  }

  /** Three numbers from 0 to 1 for each point. */
  paint(colours: Float32Array): void {
    this.#fill(this.#colours, colours);
  }

  choose(points: readonly number[]): void {
    const chosen = new Float32Array(this.#count);
    for (const point of points) chosen[point] = 1;
    this.#choosing = points.length > 0;
    this.#fill(this.#chosen, chosen);
  }

  draw(camera: Camera, width: number, height: number, ratio: number): void {
    const gl = this.#gl;
    gl.viewport(0, 0, width * ratio, height * ratio);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(this.#at.middle, camera.x, camera.y);
    gl.uniform2f(this.#at.scale, (2 * camera.scale) / width, (-2 * camera.scale) / height);
    gl.uniform1f(this.#at.size, sizeOf(this.#count, camera.scale) * ratio);
    gl.uniform1f(this.#at.choosing, this.#choosing ? 1 : 0);
    gl.drawArrays(gl.POINTS, 0, this.#count);
  }

  close(): void {
    this.#gl.getExtension('WEBGL_lose_context')?.loseContext();
  }

  #fill(buffer: WebGLBuffer, values: Float32Array): void {
    this.#gl.bindBuffer(this.#gl.ARRAY_BUFFER, buffer);
    this.#gl.bufferData(this.#gl.ARRAY_BUFFER, values, this.#gl.DYNAMIC_DRAW);
  }
}

/** Pixels across: fewer when there are many, more when one looks closer. */
function sizeOf(count: number, scale: number): number {
  const crowd = Math.min(9, Math.max(2.5, 300 / Math.sqrt(Math.max(count, 1))));
  return Math.min(16, crowd * Math.max(1, Math.log2(scale / 300 + 1)));
}

function attribute(
  gl: WebGL2RenderingContext,
  program: WebGLProgram,
  name: string,
  size: number,
  values: Float32Array,
): WebGLBuffer {
  const buffer = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
  gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
  const place = gl.getAttribLocation(program, name);
  gl.enableVertexAttribArray(place);
  gl.vertexAttribPointer(place, size, gl.FLOAT, false, 0, 0);
  return buffer;
}

function link(gl: WebGL2RenderingContext): WebGLProgram {
  const program = gl.createProgram();
  for (const [kind, source] of [
    [gl.VERTEX_SHADER, VERTEX],
    [gl.FRAGMENT_SHADER, FRAGMENT],
  ] as const) {
    const shader = gl.createShader(kind);
    if (!shader) throw new Error('WebGL is gone.');
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS))
    throw new Error(`The map cannot be drawn: ${gl.getProgramInfoLog(program) ?? ''}`);
  return program;
}
