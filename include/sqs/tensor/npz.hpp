// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// NumPy's .npz format: a zip archive of .npy files. The only header that includes zlib.

#include <sqs/tensor/npy.hpp>

#include <zlib.h>

namespace sqs {

namespace detail {

/// One file of a zip archive, from the central directory.
struct zip_entry {
  std::string name;
  int method = 0; ///< 0 stored, 8 deflated
  bool encrypted = false;
  std::uint32_t crc = 0;
  std::uint64_t packed = 0, size = 0, header = 0;
};

/// Position of the end-of-directory record: the last signature whose comment ends with the file.
inline std::uint64_t zip_end(std::span<const std::byte> file, const byte_reader& in) {
  constexpr std::uint64_t record = 22, longest_comment = 65535;
  const std::uint64_t stop = file.size() > record + longest_comment ? file.size() - record - longest_comment : 0;
  for (std::uint64_t at = file.size() < record ? 0 : file.size() - record + 1; at-- > stop;) {
    byte_reader r(file, in.name());
    r.seek(at, "the end of the directory");
    if (r.read<std::uint32_t>("signature") != 0x06054b50) { continue; }
    r.seek(at + 20, "the comment");
    if (at + record + r.read<std::uint16_t>("the comment's length") == file.size()) { return at; }
  }
  in.fail("there is no end-of-directory record; the file is cut short or no zip archive");
}

/// Sizes above 4 GiB stand in an extra field, in this order, only those whose 32-bit field is all ones.
inline void read_zip64(zip_entry& e, byte_reader extra) {
  constexpr std::uint64_t ones = 0xFFFFFFFFu;
  while (extra.left() >= 4) {
    const auto id = extra.read<std::uint16_t>("extra id");
    const auto length = extra.read<std::uint16_t>("extra length");
    byte_reader field(extra.take(length, "extra field"), extra.name());
    if (id != 1) { continue; }
    for (std::uint64_t* v : {&e.size, &e.packed, &e.header}) {
      if (*v == ones) { *v = field.read<std::uint64_t>("zip64 size"); }
    }
  }
}

inline std::vector<zip_entry> zip_directory(std::span<const std::byte> file, const std::string& name,
                                            const limits& most) {
  byte_reader in(file, name);
  in.seek(zip_end(file, in), "the end of the directory");
  in.take(10, "the end of the directory");
  const auto count = in.read<std::uint16_t>("the number of entries");
  in.take(4, "the directory's size");
  const auto start = in.read<std::uint32_t>("the directory's offset");
  if (count == 0xFFFF || start == 0xFFFFFFFFu) {
    in.fail("zip64 directories are not read; keep an archive below 4 GiB");
  }
  in.limit(count, most.tensors, "the number of entries", "tensors");
  in.seek(start, "the directory's offset");
  std::vector<zip_entry> entries;
  for (int i = 0; i < count; ++i) {
    if (in.read<std::uint32_t>("an entry's signature") != 0x02014b50) {
      in.fail("entry ", i, " has no signature; the archive is damaged");
    }
    in.take(4, "versions");
    const auto flags = in.read<std::uint16_t>("flags");
    zip_entry e;
    e.method = in.read<std::uint16_t>("method");
    in.take(4, "time");
    e.crc = in.read<std::uint32_t>("check sum");
    e.packed = in.read<std::uint32_t>("packed size");
    e.size = in.read<std::uint32_t>("size");
    const auto name_length = in.read<std::uint16_t>("the name's length");
    const auto extra_length = in.read<std::uint16_t>("the extra field's length");
    const auto comment_length = in.read<std::uint16_t>("the comment's length");
    in.take(8, "attributes");
    e.header = in.read<std::uint32_t>("offset");
    in.limit(name_length, most.name_bytes, "the name's length", "name_bytes");
    e.name = text_of(in.take(name_length, "name"));
    read_zip64(e, byte_reader(in.take(extra_length, "extra field"), name));
    in.take(comment_length, "comment");
    e.encrypted = (flags & 1) != 0;
    entries.push_back(std::move(e));
  }
  return entries;
}

/// The packed bytes of each entry. Entries that share bytes are how a small archive unpacks to anything.
inline std::vector<std::span<const std::byte>> zip_contents(std::span<const std::byte> file, const std::string& name,
                                                            const std::vector<zip_entry>& entries) {
  std::vector<std::span<const std::byte>> out;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> used;
  for (const auto& e : entries) {
    byte_reader in(file, name);
    in.seek(e.header, "an entry's offset");
    if (in.read<std::uint32_t>("a local signature") != 0x04034b50) {
      in.fail("'", e.name, "' does not start here; the archive is damaged");
    }
    in.take(22, "a local header");
    const auto name_length = in.read<std::uint16_t>("the name's length");
    const auto extra_length = in.read<std::uint16_t>("the extra field's length");
    in.take(std::uint64_t{name_length} + extra_length, "name and extra field");
    out.push_back(in.take(e.packed, "packed bytes"));
    used.emplace_back(e.header, in.offset());
  }
  std::sort(used.begin(), used.end());
  for (std::size_t i = 1; i < used.size(); ++i) {
    if (used[i].first < used[i - 1].second) {
      byte_reader(file, name).fail("two entries share the bytes at ", used[i].first, "; the archive is hostile");
    }
  }
  return out;
}

/// Unpacks at most `size` bytes from the front. Returns how many there were; more than `size` shows as false in
/// `ended`.
struct inflated {
  std::vector<std::byte> bytes;
  bool ended = false;
};
inline inflated inflate_front(std::span<const std::byte> packed, std::size_t size, const byte_reader& in) {
  inflated out{.bytes = std::vector<std::byte>(size + 1)}; // one more, to notice an entry that goes on
  z_stream z{};
  if (inflateInit2(&z, -MAX_WBITS) != Z_OK) { in.fail("zlib cannot start; memory is exhausted"); }
  struct guard {
    z_stream& z;
    ~guard() { inflateEnd(&z); }
  } const release{z};
  std::size_t read = 0, written = 0;
  for (int state = Z_OK; state != Z_STREAM_END && written < out.bytes.size();) {
    constexpr std::size_t step = std::size_t{1} << 30; // zlib counts in 32 bits
    const auto give = std::min(step, packed.size() - read), room = std::min(step, out.bytes.size() - written);
    z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(packed.data() + read));
    z.avail_in = static_cast<uInt>(give);
    z.next_out = reinterpret_cast<Bytef*>(out.bytes.data() + written);
    z.avail_out = static_cast<uInt>(room);
    state = inflate(&z, Z_NO_FLUSH);
    read += give - z.avail_in;
    written += room - z.avail_out;
    if (state != Z_OK && state != Z_STREAM_END) {
      in.fail("deflated data are damaged or cut short (zlib ", state, ")");
    }
    out.ended = state == Z_STREAM_END;
  }
  out.bytes.resize(std::min(written, size));
  out.ended = out.ended && written <= size;
  return out;
}

/// Unpacks an entry whose .npy header has been checked against its declared size first, so that no more memory is taken
/// than the array in it needs.
inline std::vector<std::byte> unpack_npy(const zip_entry& e, std::span<const std::byte> packed, const std::string& name,
                                         const limits& most) {
  const byte_reader in(packed, name);
  if (e.encrypted || (e.method != 0 && e.method != 8)) {
    in.fail("it is ", e.encrypted ? "encrypted" : "packed by method " + std::to_string(e.method),
            "; only stored and deflated entries are read");
  }
  in.limit(e.size, most.file_bytes, "the unpacked size", "file_bytes");
  if (e.size > in.add(in.mul(e.packed, most.expansion, "the packed size"), 64, "the packed size")) {
    in.fail("it declares ", e.size, " bytes in ", e.packed, " packed ones, above the limit of ", most.expansion,
            " to 1; raise limits::expansion if this file is genuine");
  }
  if (e.method == 0) {
    if (e.size != e.packed) {
      in.fail("it is stored but declares ", e.size, " bytes instead of ", e.packed, "; the archive is damaged");
    }
    return {packed.begin(), packed.end()};
  }
  constexpr std::size_t probe = 4096; // NumPy's headers have 128 bytes
  const auto front = inflate_front(packed, static_cast<std::size_t>(std::min<std::uint64_t>(e.size, probe)), in);
  byte_reader header(front.bytes, name);
  const auto array_bytes = read_npy_header(header, most).second;
  if (header.add(header.offset(), array_bytes, "the array's size") != e.size) {
    header.fail("its header announces ", array_bytes, " bytes of elements but the archive ", e.size,
                " bytes in all; the archive is damaged or hostile");
  }
  auto all = inflate_front(packed, static_cast<std::size_t>(e.size), in);
  if (!all.ended || all.bytes.size() != e.size) {
    in.fail("it unpacks to ", all.ended ? "fewer" : "more", " than the ", e.size,
            " bytes it declares; the archive is damaged or hostile");
  }
  return std::move(all.bytes);
}

} // namespace detail

/// Decodes a .npz archive held in memory; names are without `.npy`, other entries are skipped. With `only`, arrays of
/// other names are skipped too, whatever they hold.
///
/// Errors      file_error naming archive and entry: damage, cut files, wrong check sums, encryption, entries that share
///             bytes, sizes that contradict each other, an array that is not what `decode_npy` reads.
/// Cost        memory for one unpacked array besides the result; nothing is unpacked beyond what headers announce.
/// Source      APPNOTE.TXT 6.3 (zip), RFC 1951 (deflate), numpy.savez.
inline std::map<std::string, stored_tensor> decode_npz(std::span<const std::byte> file, const std::string& name,
                                                       const limits& most = {},
                                                       const std::vector<std::string>& only = {}) {
  const auto entries = detail::zip_directory(file, name, most);
  const auto contents = detail::zip_contents(file, name, entries);
  std::map<std::string, stored_tensor> out;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto& e = entries[i];
    if (!e.name.ends_with(".npy")) { continue; }
    const std::string key = e.name.substr(0, e.name.size() - 4);
    if (!only.empty() && std::find(only.begin(), only.end(), key) == only.end()) { continue; }
    const std::string shown = name + ", entry '" + e.name + "'";
    const auto bytes = detail::unpack_npy(e, contents[i], shown, most);
    const byte_reader in(bytes, shown);
    if (crc32_of(bytes) != e.crc) {
      in.fail("the check sum is ", detail::hex8(crc32_of(bytes)), " but ", detail::hex8(e.crc),
              " was stored; the archive is damaged");
    }
    if (!out.emplace(key, decode_npy(bytes, shown, most)).second) {
      in.fail("this name occurs twice; the archive is damaged or hostile");
    }
  }
  return out;
}
/// `decode_npz` of a file.
inline std::map<std::string, stored_tensor> read_npz(const std::filesystem::path& path, const limits& most = {},
                                                     const std::vector<std::string>& only = {}) {
  return decode_npz(read_file(path, most), path.string(), most, only);
}

namespace detail {

template <class T> void put(std::string& to, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  to.append(bytes, sizeof(T));
}

} // namespace detail

/// Encodes a .npz archive of stored (not packed) entries, sorted by name; the same arrays give the same bytes.
///
/// Errors      precondition_error as `encode_npy`, and for an archive of 4 GiB or more.
inline std::vector<std::byte> encode_npz(const std::map<std::string, stored_tensor>& arrays) {
  std::string out, directory;
  const auto common = [](std::string& to, const std::string& name, std::uint32_t crc, std::uint32_t size) {
    detail::put<std::uint16_t>(to, 20);      // version needed
    detail::put<std::uint16_t>(to, 1 << 11); // names are UTF-8
    detail::put<std::uint16_t>(to, 0);       // stored
    detail::put<std::uint16_t>(to, 0);       // midnight
    detail::put<std::uint16_t>(to, 0x21);    // 1 January 1980
    detail::put<std::uint32_t>(to, crc);
    detail::put<std::uint32_t>(to, size);
    detail::put<std::uint32_t>(to, size);
    detail::put<std::uint16_t>(to, static_cast<std::uint16_t>(name.size()));
    detail::put<std::uint16_t>(to, 0);
  };
  for (const auto& [key, array] : arrays) {
    const std::string name = key + ".npy";
    const auto bytes = encode_npy(array);
    expects(name.size() < 512 && out.size() + directory.size() + bytes.size() + 2048 < 0xFFFFFFFFu &&
                arrays.size() < 0xFFFF,
            "sqs::encode_npz: '", key,
            "' does not fit: an archive holds less than 4 GiB, 65535 arrays, names of 500 bytes; "
            "use safetensors");
    const auto crc = crc32_of(bytes);
    const auto size = static_cast<std::uint32_t>(bytes.size());
    detail::put<std::uint32_t>(directory, 0x02014b50);
    detail::put<std::uint16_t>(directory, 20);
    common(directory, name, crc, size);
    directory.append(10, '\0'); // comment, disk, attributes
    detail::put<std::uint32_t>(directory, static_cast<std::uint32_t>(out.size()));
    directory += name;
    detail::put<std::uint32_t>(out, 0x04034b50);
    common(out, name, crc, size);
    out += name;
    out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  const auto start = static_cast<std::uint32_t>(out.size());
  out += directory;
  detail::put<std::uint32_t>(out, 0x06054b50);
  detail::put<std::uint32_t>(out, 0);
  detail::put<std::uint16_t>(out, static_cast<std::uint16_t>(arrays.size()));
  detail::put<std::uint16_t>(out, static_cast<std::uint16_t>(arrays.size()));
  detail::put<std::uint32_t>(out, static_cast<std::uint32_t>(directory.size()));
  detail::put<std::uint32_t>(out, start);
  detail::put<std::uint16_t>(out, 0);
  const auto bytes = bytes_of(out);
  return {bytes.begin(), bytes.end()};
}
/// Writes a .npz archive atomically.
inline void write_npz(const std::filesystem::path& path, const std::map<std::string, stored_tensor>& arrays) {
  const auto file = encode_npz(arrays);
  write_file_atomic(path, std::span<const std::byte>(file));
}

} // namespace sqs
