// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// JPEG and PNG files, and a colour map for depth. The only header that includes libjpeg and libpng.

#include <sqs/core/file.hpp>
#include <sqs/data/detail/small_files.hpp>
#include <sqs/sensor/image.hpp>

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>

#include <jerror.h>
#include <png.h>

namespace sqs {

namespace detail {

/// What libjpeg calls back with. It jumps out of an error with longjmp, so nothing with a destructor may live between
/// setjmp and the jump: everything C++ stays in the caller.
struct jpeg_session {
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf escape{};
  char message[JMSG_LENGTH_MAX]{};
  std::uint64_t most_scans = 0;
  bool damaged = false;

  static jpeg_session& of(j_common_ptr info) { return *static_cast<jpeg_session*>(info->client_data); }
  static void on_error(j_common_ptr info) {
    info->err->format_message(info, of(info).message);
    std::longjmp(of(info).escape, 1);
  }
  /// libjpeg fills what a cut or corrupt file lacks with grey and only warns. Training on grey is worse than stopping;
  /// the three warnings let through change no pixel.
  static void on_message(j_common_ptr info, int level) {
    const int code = info->err->msg_code;
    if (level >= 0 || code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR) { return; }
    if (!of(info).damaged) { info->err->format_message(info, of(info).message); }
    of(info).damaged = true;
  }
  static void on_progress(j_common_ptr info) {
    const auto scan = reinterpret_cast<j_decompress_ptr>(info)->input_scan_number;
    if (static_cast<std::uint64_t>(std::max(scan, 0)) > of(info).most_scans) {
      std::snprintf(of(info).message, sizeof(message), "it has more than %llu scans, the limit (limits::image_scans)",
                    static_cast<unsigned long long>(of(info).most_scans));
      std::longjmp(of(info).escape, 1);
    }
  }
};

/// The two halves of decoding. False: `session.message` says why.
inline bool start_jpeg(jpeg_decompress_struct& info, jpeg_session& session, std::span<const std::byte> file) {
  info.err = jpeg_std_error(&session.errors);
  session.errors.error_exit = jpeg_session::on_error;
  session.errors.emit_message = jpeg_session::on_message;
  session.errors.output_message = [](j_common_ptr) {};
  session.progress.progress_monitor = jpeg_session::on_progress;
  info.client_data = &session;
  if (setjmp(session.escape) != 0) { return false; }
  jpeg_create_decompress(&info);
  info.progress = &session.progress;
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(file.data()), static_cast<unsigned long>(file.size()));
  jpeg_read_header(&info, TRUE);
  info.out_color_space = JCS_RGB;
  info.dct_method = JDCT_ISLOW;
  return true;
}
inline bool decode_jpeg_rows(jpeg_decompress_struct& info, jpeg_session& session, std::uint8_t* pixels) {
  if (setjmp(session.escape) != 0) { return false; }
  jpeg_start_decompress(&info);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = pixels + std::size_t{info.output_scanline} * info.output_width * 3;
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  return true;
}

inline void check_image_size(const std::string& name, std::uint64_t height, std::uint64_t width, const limits& most) {
  if (height == 0 || width == 0 || height > most.image_pixels / width) {
    raise<file_error>("sqs::read_image: ", name, " has ", height, " x ", width, " pixels, outside 1 .. ",
                      most.image_pixels, "; raise limits::image_pixels if this file is genuine");
  }
}

} // namespace detail

/// Decodes a JPEG file held in memory; `name` is its path in messages. Grey files become RGB. Pixels come as they are
/// stored: a rotation in EXIF is not applied, for calibrations speak of the sensor's pixels.
///
/// Errors      file_error naming the path: not a JPEG, damaged, cut short, too many pixels or scans, four colour
///             planes.
/// Cost        about 8 ms per megapixel.
inline image decode_jpeg(std::span<const std::byte> file, const std::string& name, const limits& most = {}) {
  jpeg_decompress_struct info{};
  detail::jpeg_session session;
  session.most_scans = most.image_scans;
  struct guard {
    jpeg_decompress_struct& info;
    ~guard() { jpeg_destroy_decompress(&info); }
  };
  const auto fail = [&] {
    raise<file_error>("sqs::decode_jpeg: ", name, " (", file.size(), " bytes) cannot be decoded: ", session.message,
                      "; the file is damaged, cut short or no JPEG: fetch it again");
  };
  const guard release{info};
  if (!detail::start_jpeg(info, session, file)) { fail(); }
  detail::check_image_size(name, info.image_height, info.image_width, most);
  if (info.num_components == 4) {
    raise<file_error>("sqs::decode_jpeg: ", name, " has four colour planes (CMYK); save it as RGB");
  }
  image out(static_cast<int>(info.image_height), static_cast<int>(info.image_width));
  if (!detail::decode_jpeg_rows(info, session, out.pixels.data()) || session.damaged) { fail(); }
  return out;
}
/// `decode_jpeg` of a file.
inline image read_jpeg(const std::filesystem::path& path, const limits& most = {}) {
  return decode_jpeg(read_file(path, detail::sample_file_limits(most)), path.string(), most);
}

/// Encodes a JPEG file in memory. `quality` 1 .. 100.
inline std::vector<std::byte> encode_jpeg(const image& picture, int quality = 90) {
  expects(picture.height > 0 && picture.width > 0 && picture.height < 65500 && picture.width < 65500,
          "sqs::encode_jpeg: the image has ", picture.height, " x ", picture.width, " pixels; JPEG holds 1 .. 65499");
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{}; // errors here are out of memory only: libjpeg's default handler
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &buffer, &size);
  info.image_width = static_cast<JDIMENSION>(picture.width);
  info.image_height = static_cast<JDIMENSION>(picture.height);
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(picture.at(static_cast<int>(info.next_scanline), 0));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  const auto* first = reinterpret_cast<const std::byte*>(buffer);
  std::vector<std::byte> out(first, first + size);
  jpeg_destroy_compress(&info);
  std::free(buffer);
  return out;
}

/// Decodes a PNG file held in memory to 8-bit RGB; transparency is laid over black, 16 bits are rounded to 8.
///
/// Errors      file_error naming the path: not a PNG, damaged, cut short, too many pixels.
inline image decode_png(std::span<const std::byte> file, const std::string& name, const limits& most = {}) {
  struct guard {
    png_image image{};
    ~guard() { png_image_free(&image); }
  } png;
  png.image.version = PNG_IMAGE_VERSION;
  const auto fail = [&] {
    raise<file_error>("sqs::decode_png: ", name, " (", file.size(), " bytes) cannot be decoded: ", png.image.message,
                      "; the file is damaged, cut short or no PNG: fetch it again");
  };
  if (file.empty()) { raise<file_error>("sqs::decode_png: ", name, " (0 bytes) is empty; fetch it again"); }
  if (png_image_begin_read_from_memory(&png.image, file.data(), file.size()) == 0) { fail(); }
  png.image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB; // not linear, unless the file says so: as every other reader takes it
  detail::check_image_size(name, png.image.height, png.image.width, most);
  png.image.format = PNG_FORMAT_RGB;
  image out(static_cast<int>(png.image.height), static_cast<int>(png.image.width));
  const png_color black{0, 0, 0};
  if (png_image_finish_read(&png.image, &black, out.pixels.data(), 0, nullptr) == 0 || PNG_IMAGE_FAILED(png.image)) {
    fail();
  }
  return out;
}
/// `decode_png` of a file.
inline image read_png(const std::filesystem::path& path, const limits& most = {}) {
  return decode_png(read_file(path, detail::sample_file_limits(most)), path.string(), most);
}

/// Encodes a PNG file in memory; losslessly and with the same bytes every time.
inline std::vector<std::byte> encode_png(const image& picture) {
  expects(picture.height > 0 && picture.width > 0, "sqs::encode_png: the image has ", picture.height, " x ",
          picture.width, " pixels; give at least one");
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(picture.width);
  png.height = static_cast<png_uint_32>(picture.height);
  png.format = PNG_FORMAT_RGB;
  std::vector<std::byte> out(PNG_IMAGE_PNG_SIZE_MAX(png));
  png_alloc_size_t size = out.size();
  if (png_image_write_to_memory(&png, out.data(), &size, 0, picture.pixels.data(), 0, nullptr) == 0) {
    raise<error>("sqs::encode_png: ", png.message, "; the image has ", picture.height, " x ", picture.width, " pixels");
  }
  out.resize(size);
  return out;
}
/// Writes a PNG file, atomically.
///
/// Errors      file_error as `write_file_atomic`.
inline void write_png(const std::filesystem::path& path, const image& picture) {
  const auto file = encode_png(picture);
  write_file_atomic(path, std::span<const std::byte>(file));
}

/// A depth image in colours that differ to the eye as the depths do: yellow is `near`, over green and blue to violet at
/// `far`, logarithmic; 0 (no value) is black.
///
/// Source      viridis of matplotlib, ten of its colours
inline image colour_depth(std::span<const float> depth, int height, int width, double near = 1, double far = 60) {
  expects(depth.size() == static_cast<std::size_t>(height) * static_cast<std::size_t>(width),
          "sqs::colour_depth: ", depth.size(), " values for ", height, " x ", width, " pixels; the counts must agree");
  static constexpr std::array<std::array<double, 3>, 10> stops{{{253, 231, 37},
                                                                {180, 222, 44},
                                                                {109, 205, 89},
                                                                {53, 183, 121},
                                                                {31, 158, 137},
                                                                {38, 130, 142},
                                                                {49, 104, 142},
                                                                {62, 74, 137},
                                                                {72, 40, 120},
                                                                {68, 1, 84}}};
  image out(height, width);
  for (std::size_t i = 0; i < depth.size(); ++i) {
    if (!(depth[i] > 0)) { continue; }
    const double t = std::clamp(std::log(depth[i] / near) / std::log(far / near), 0.0, 1.0) * (stops.size() - 1);
    const auto k = std::min<std::size_t>(static_cast<std::size_t>(t), stops.size() - 2);
    const double f = t - static_cast<double>(k);
    for (std::size_t c = 0; c < 3; ++c) {
      out.pixels[i * 3 + c] = static_cast<std::uint8_t>(std::lround((1 - f) * stops[k][c] + f * stops[k + 1][c]));
    }
  }
  return out;
}

} // namespace sqs
