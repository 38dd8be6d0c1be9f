// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Tables of any size: a JSON list of records, read through a small buffer, one record at a time, without building
/// values.

#include <sqs/core/file.hpp>
#include <sqs/tensor/detail/json_scanner.hpp>

namespace sqs {

/// One record of a table, valid until the next one is read: names and values are views into the reader's buffer.
/// Numbers are converted when they are asked for.
///
/// Errors      file_error naming file, record, field and what was found.
class json_record {
public:
  std::string_view text(const char* field) const { return checked(field, detail::json_kind::text, "a string").text; }
  bool flag(const char* field) const {
    return checked(field, detail::json_kind::truth, "true or false").text.front() == 't';
  }
  std::int64_t integer(const char* field) const {
    return whole(checked(field, detail::json_kind::number, "an integer").text, field);
  }
  /// One finite number, whole or not.
  double number(const char* field) const {
    double v = 0;
    convert(checked(field, detail::json_kind::number, "a number").text, field, 0, v);
    return v;
  }
  /// A list of exactly N finite numbers.
  template <std::size_t N> std::array<double, N> numbers(const char* field) const {
    std::array<double, N> out{};
    parse_numbers(checked(field, detail::json_kind::list, "a list").text, field, out.data(), N);
    return out;
  }
  /// A list of N lists of M numbers.
  template <std::size_t N, std::size_t M> std::array<std::array<double, M>, N> matrix(const char* field) const {
    std::array<std::array<double, M>, N> out{};
    std::size_t row = 0;
    for_each_element(field, [&](detail::json_kind kind, std::string_view raw) {
      if (row >= N || kind != detail::json_kind::list) { fail(field, concat("is not a ", N, " x ", M, " matrix")); }
      parse_numbers(raw, field, out[row++].data(), M);
    });
    if (row != N) { fail(field, concat("is not a ", N, " x ", M, " matrix")); }
    return out;
  }
  /// Calls `each` with every string of a list.
  template <class F> void texts(const char* field, F&& each) const {
    for_each_element(field, [&](detail::json_kind kind, std::string_view raw) {
      if (kind != detail::json_kind::text) { fail(field, "is not a list of strings"); }
      each(raw.substr(1, raw.size() - 2));
    });
  }
  /// How many elements a list has.
  std::size_t count(const char* field) const {
    std::size_t n = 0;
    for_each_element(field, [&](detail::json_kind, std::string_view) { ++n; });
    return n;
  }
  bool has(const char* field) const { return find(field) != nullptr; }
  /// The place of the record in its list, from 0.
  std::size_t row() const { return number_; }
  std::uint64_t end() const { return end_; } ///< the byte of the file behind it

  /// File, number of the record and its token: how every message begins.
  std::string place() const {
    const auto* token = find("token");
    return concat(*name_, ", record ", number_,
                  token == nullptr || token->kind != detail::json_kind::text
                      ? ""
                      : " (token " + std::string(token->text.substr(0, 80)) + ")");
  }
  [[noreturn]] void fail(const char* field, const std::string& what) const {
    raise<file_error>("sqs::json: ", place(), ": field '", field, "' ", what, "; correct the file");
  }

private:
  friend class json_record_reader;

  const detail::json_field* find(std::string_view field) const {
    const std::size_t n = fields_.size();
    for (std::size_t k = 0; k < n; ++k) { // fields are mostly asked for in their order in the file
      const std::size_t i = cursor_ + k < n ? cursor_ + k : cursor_ + k - n;
      if (fields_[i].name == field) {
        cursor_ = i + 1 < n ? i + 1 : 0;
        return &fields_[i];
      }
    }
    return nullptr;
  }
  const detail::json_field& checked(const char* field, detail::json_kind wanted, const char* shown) const {
    const auto* f = find(field);
    if (f == nullptr) { fail(field, "is missing"); }
    if (f->kind != wanted) { fail(field, concat("is ", detail::kind_of(f->kind, f->text), " instead of ", shown)); }
    return *f;
  }
  std::int64_t whole(std::string_view raw, const char* field) const {
    std::int64_t v = 0;
    const auto [end, error] = std::from_chars(raw.data(), raw.data() + raw.size(), v);
    if (error == std::errc::result_out_of_range) { fail(field, "is an integer beyond 64 bits"); }
    if (error != std::errc() || end != raw.data() + raw.size()) { fail(field, "is a number instead of an integer"); }
    return v;
  }
  void parse_numbers(std::string_view raw, const char* field, double* out, std::size_t n) const {
    std::size_t i = 0;
    detail::for_each_json_element(raw, [&](detail::json_kind kind, std::string_view e) {
      if (i >= n) { fail(field, concat("is not a list of ", n, " numbers")); }
      if (kind != detail::json_kind::number) {
        fail(field, concat("holds ", detail::kind_of(kind, e), " as element ", i, " instead of a finite number"));
      }
      convert(e, field, i, out[i]);
      ++i;
    });
    if (i != n) { fail(field, concat("is not a list of ", n, " numbers")); }
  }
  void convert(std::string_view e, const char* field, std::size_t i, double& out) const {
    const auto [end, error] = std::from_chars(e.data(), e.data() + e.size(), out);
    if (error != std::errc::result_out_of_range) { return; }
    // Too small for a double is a fine zero; too large is none.
    if (!(std::abs(strtod_of(e)) < 1)) {
      fail(field, concat("holds ", e.substr(0, 40), " as element ", i, ", a number overflow"));
    }
    out = 0;
  }
  static double strtod_of(std::string_view e) { return std::strtod(std::string(e).c_str(), nullptr); }
  template <class F> void for_each_element(const char* field, F&& each) const {
    detail::for_each_json_element(checked(field, detail::json_kind::list, "a list").text, each);
  }

  std::vector<detail::json_field> fields_;
  mutable std::size_t cursor_ = 0;
  std::size_t number_ = 0;
  std::uint64_t end_ = 0;
  const std::string* name_ = nullptr;
};

/// Reads the records of a table from a source of bytes.
class json_record_reader {
public:
  /// Fills at most `n` bytes; 0 at the end.
  using source = std::function<std::size_t(char* to, std::size_t n)>;

  json_record_reader(source read, std::string name, const limits& most, std::size_t chunk = std::size_t{1} << 20)
      : read_(std::move(read)),
        name_(std::move(name)),
        buffer_(std::max<std::size_t>(chunk, 16)),
        scanner_(name_, most) {
    record_.name_ = &name_;
  }
  json_record_reader(const json_record_reader&) = delete;
  json_record_reader& operator=(const json_record_reader&) = delete;

  /// The next record, or nullptr behind the last.
  const json_record* next() {
    for (;;) {
      scanner_.set(buffer_.data() + begin_, buffer_.data() + end_, consumed_ + begin_, ended_);
      const auto step = scanner_.step(record_.fields_);
      if (step == detail::json_step::more) {
        refill();
        continue;
      }
      begin_ += scanner_.taken();
      if (step == detail::json_step::end) { return nullptr; }
      if (step == detail::json_step::record) {
        record_.cursor_ = 0;
        record_.number_ = records_++;
        record_.end_ = consumed_ + begin_;
        return &record_;
      }
    }
  }

private:
  /// Keeps what is not yet taken, in front; doubles the buffer when one record fills it.
  void refill() {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    consumed_ += begin_;
    end_ -= begin_;
    begin_ = 0;
    if (end_ == buffer_.size()) {
      if (buffer_.size() > most_record) {
        raise<file_error>("sqs::parse_json: ", name_, " at byte ", consumed_, ": a record is longer than ", most_record,
                          " bytes; the file is damaged or hostile");
      }
      buffer_.resize(std::min(2 * buffer_.size(), most_record + 1));
    }
    // To the brim: a record is read again from its start after each refill, so these must be few.
    while (!ended_ && end_ < buffer_.size()) {
      const std::size_t n = read_(buffer_.data() + end_, buffer_.size() - end_);
      ended_ = n == 0;
      end_ += n;
    }
    // The mark that some editors put before UTF-8.
    if (consumed_ == 0 && records_ == 0 && end_ >= 3 && std::string_view(buffer_.data(), 3) == "\xEF\xBB\xBF") {
      begin_ = 3;
    }
  }

  static constexpr std::size_t most_record = std::size_t{1} << 24;
  source read_;
  std::string name_;
  std::vector<char> buffer_;
  detail::json_scanner scanner_;
  json_record record_;
  std::size_t begin_ = 0, end_ = 0, records_ = 0;
  std::uint64_t consumed_ = 0;
  bool ended_ = false;
};

/// Calls `each(const json_record&)` with every record of the table in `path`.
///
/// Errors      file_error: what `read_file` says of files, what `parse_json` says of text (malformed, wrong UTF-8, too
///             deep, a key twice in a record), a document that is no list of objects, a record above 16 MiB.
/// Cost        one pass, about 1 GB/s; 1 MiB of memory whatever the size of the file.
inline void stream_records(const std::filesystem::path& path, const limits& most,
                           const std::function<void(const json_record&)>& each, const file_calls& calls = {}) {
  const detail::input_file file("stream_records", path, most, calls);
  json_record_reader reader([&](char* to, std::size_t n) { return file.read(to, n); }, file.name(), most,
                            static_cast<std::size_t>(std::clamp<std::uint64_t>(file.size() + 1, 64, 1 << 20)));
  while (const json_record* record = reader.next()) { each(*record); }
}

} // namespace sqs
