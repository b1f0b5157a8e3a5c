// The one place that knows where the library lies.
import * as library from "./vendor/maplibre-gl/maplibre-gl.mjs";

export const maplibre = library;
