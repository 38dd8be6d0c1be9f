// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Voxels as a PLY file, for MeshLab, CloudCompare, Blender.

#include <sqs/pipeline/occupancy_pictures.hpp>

namespace sqs::pipeline {

enum class voxel_shape { points, cubes };

namespace detail {
template <class T> void put(std::string& out, const T& value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}
inline void put_vertex(std::string& out, const vec3<double>& at, const colour& c) {
  put(out, static_cast<float>(at.x)), put(out, static_cast<float>(at.y)), put(out, static_cast<float>(at.z));
  for (const std::uint8_t v : c) { put(out, v); }
}
} // namespace detail

/// Writes the occupied voxels with their class colours: one point each, or cubes of which only faces towards free
/// voxels are written.
///
/// Units       metres, the grid's frame
/// Errors      precondition_error if the labels do not fill their grid; file_error if the file cannot be written.
inline void write_voxels_ply(const std::filesystem::path& path, const occupancy_labels& o, const palette& p,
                             voxel_shape shape = voxel_shape::cubes) {
  detail::check_picture(o, "write_voxels_ply");
  std::string vertices, faces;
  std::size_t vertex_count = 0, face_count = 0;
  for (idx i = 0; i < o.grid.count(); ++i) {
    if (!detail::shown(o, i)) { continue; }
    const auto [x, y, z] = o.grid.cell(i);
    const colour c = detail::class_colour(p, o.semantics[static_cast<std::size_t>(i)]);
    if (shape == voxel_shape::points) {
      detail::put_vertex(vertices, o.grid.center(x, y, z), c);
      ++vertex_count;
      continue;
    }
    for (int face = 0; face < 6; ++face) {
      const int axis = face / 2, out = face % 2; // out: towards higher coordinates
      std::array<int, 3> next{x, y, z};
      auto& moved = next[static_cast<std::size_t>(axis)];
      moved += out == 1 ? 1 : -1;
      const bool inside = moved >= 0 && moved < o.grid.size[static_cast<std::size_t>(axis)];
      if (inside && detail::shown(o, o.grid.index(next[0], next[1], next[2]))) { continue; }
      for (int k = 0; k < 4; ++k) { // counter-clockwise seen from outside
        std::array<int, 3> corner{x, y, z};
        const int u = (axis + 1) % 3, v = (axis + 2) % 3, turn = out == 1 ? k : 3 - k;
        corner[static_cast<std::size_t>(axis)] += out;
        corner[static_cast<std::size_t>(u)] += turn == 1 || turn == 2 ? 1 : 0;
        corner[static_cast<std::size_t>(v)] += turn >= 2 ? 1 : 0;
        const auto& g = o.grid;
        detail::put_vertex(
            vertices,
            {g.lower.x + corner[0] * g.voxel.x, g.lower.y + corner[1] * g.voxel.y, g.lower.z + corner[2] * g.voxel.z},
            c);
      }
      detail::put(faces, std::uint8_t{4});
      for (int k = 0; k < 4; ++k) { detail::put(faces, static_cast<std::int32_t>(vertex_count++)); }
      ++face_count;
    }
  }
  std::string head = concat("ply\nformat binary_little_endian 1.0\nelement vertex ", vertex_count,
                            "\nproperty float x\nproperty float y\nproperty float z\nproperty uchar red\n"
                            "property uchar green\nproperty uchar blue\n");
  if (shape == voxel_shape::cubes) {
    head += concat("element face ", face_count, "\nproperty list uchar int vertex_indices\n");
  }
  head += "end_header\n";
  const auto bytes = [](const std::string& s) { return std::as_bytes(std::span<const char>(s)); };
  const std::array<std::span<const std::byte>, 3> pieces{bytes(head), bytes(vertices), bytes(faces)};
  write_file_atomic(path, pieces);
}

} // namespace sqs::pipeline
