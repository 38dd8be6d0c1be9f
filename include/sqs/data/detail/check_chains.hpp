// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Tables whose records name the one before and the one behind them: do these links form the lists they should, and do
/// the tables that name the ends of a list know it?

#include <sqs/data/detail/check_report.hpp>

#include <span>

namespace sqs::detail {

/// The links of a table to itself. Rows are records; -1: none, -2: one that leads nowhere, which is said elsewhere.
struct record_chains {
  const char* of = "";                 ///< what one list belongs to, for messages: "scene"
  std::string path = {};               ///< of the table
  std::vector<std::int32_t> prev = {}; ///< by record
  std::vector<std::int32_t> next = {};
  std::vector<std::int32_t> group = {}; ///< the list each record belongs to; or nothing
  std::vector<std::int64_t> time = {};  ///< the timestamp of each; or nothing

  bool known() const { return !next.empty() && prev.size() == next.size(); }
};

/// What a walk along the links finds: how many records, and the first of them.
struct record_finding {
  std::size_t records = 0, first = 0, parts = 0;
  void add(std::size_t record) {
    if (records++ == 0) { first = record; }
  }
};

/// Links that run in a circle: a reader that follows them would not end. `parts` is how many circles.
inline record_finding circles_in(std::span<const std::int32_t> to) {
  std::vector<std::uint32_t> walk(to.size(), 0); // which walk came by first, from 1
  record_finding found;
  for (std::uint32_t start = 0; start < to.size(); ++start) {
    std::size_t at = start;
    while (walk[at] == 0) {
      walk[at] = start + 1;
      if (to[at] < 0) { break; }
      at = static_cast<std::size_t>(to[at]);
    }
    if (to[at] < 0 || walk[at] != start + 1) { continue; } // an end, or ground that was known
    ++found.parts;
    std::size_t next = at;
    do {
      found.add(next);
      next = static_cast<std::size_t>(to[next]);
    } while (next != at);
  }
  return found;
}

/// Records whose 'next' does not name them as its 'prev', or the other way round.
inline record_finding disagreements_in(const record_chains& c) {
  record_finding found;
  for (std::size_t i = 0; i < c.next.size(); ++i) {
    const auto differs = [&](std::int32_t other, const std::vector<std::int32_t>& back) {
      if (other < 0) { return false; }
      const auto b = back[static_cast<std::size_t>(other)];
      return b != static_cast<std::int32_t>(i) && b != -2;
    };
    if (differs(c.next[i], c.prev) || differs(c.prev[i], c.next)) { found.add(i); }
  }
  return found;
}

/// Records whose 'next' belongs to another list.
inline record_finding crossings_in(const record_chains& c) {
  record_finding found;
  for (std::size_t i = 0; i < c.group.size(); ++i) {
    if (c.next[i] < 0 || c.group[i] < 0) { continue; }
    const auto to = c.group[static_cast<std::size_t>(c.next[i])];
    if (to >= 0 && to != c.group[i]) { found.add(i); }
  }
  return found;
}

/// Records whose 'next' was recorded before them.
inline record_finding steps_back_in(const record_chains& c) {
  record_finding found;
  for (std::size_t i = 0; i < c.time.size(); ++i) {
    if (c.next[i] >= 0 && c.time[static_cast<std::size_t>(c.next[i])] < c.time[i]) { found.add(i); }
  }
  return found;
}

/// The ends and the length of every list. An end is -1 where there is none, -2 where there are several.
struct chain_ends {
  std::vector<std::int32_t> first, last;
  std::vector<std::int64_t> length;

  explicit chain_ends(const record_chains& c) {
    std::int32_t groups = 0;
    for (const auto g : c.group) { groups = std::max(groups, g + 1); }
    first.assign(static_cast<std::size_t>(groups), -1);
    last = first;
    length.assign(first.size(), 0);
    for (std::size_t i = 0; i < c.group.size(); ++i) {
      if (c.group[i] < 0) { continue; }
      const auto g = static_cast<std::size_t>(c.group[i]);
      ++length[g];
      if (c.prev[i] == -1) { first[g] = first[g] == -1 ? static_cast<std::int32_t>(i) : -2; }
      if (c.next[i] == -1) { last[g] = last[g] == -1 ? static_cast<std::int32_t>(i) : -2; }
    }
  }
};

/// Lists that were cut in several, by their first beginning that is one too many.
inline record_finding cuts_in(const record_chains& c) {
  record_finding found;
  std::vector<bool> begun;
  for (std::size_t i = 0; i < c.group.size(); ++i) {
    if (c.group[i] < 0 || c.prev[i] != -1) { continue; }
    const auto g = static_cast<std::size_t>(c.group[i]);
    if (g >= begun.size()) { begun.resize(g + 1, false); }
    if (begun[g]) { found.add(i); }
    begun[g] = true;
  }
  return found;
}

/// Adds what is wrong with the links of a table to the report. Later findings follow from earlier ones, so the first
/// kind that is found is the only one.
///
/// Returns     whether all lists are whole
inline bool check_chains(const record_chains& c, check_report& report, const std::string& repair) {
  if (!c.known()) { return false; }
  bool good = true;
  const auto add = [&](const auto&... words) {
    report.add(concat(c.path, ": ", words...), repair);
    good = false;
  };
  for (const auto* to : {&c.prev, &c.next}) {
    if (const auto f = circles_in(*to); f.records > 0) {
      add("the values of '", to == &c.prev ? "prev" : "next", "' of ", f.records,
          " records lead back to where they came from (", f.parts, f.parts == 1 ? " circle" : " circles",
          "), first through record ", f.first);
    }
  }
  if (!good) { return false; }
  if (const auto f = disagreements_in(c); f.records > 0) {
    add("'prev' and 'next' of ", f.records, " records are not answered by the records they name, first in record ",
        f.first);
  } else if (const auto g = crossings_in(c); g.records > 0) {
    add(g.records, " values of 'next' lead to a record of another ", c.of, ", first in record ", g.first);
  } else if (const auto h = cuts_in(c); h.records > 0) {
    add("the records of one ", c.of, " are not one list: ", h.records, " begin a list again, first record ", h.first);
  } else if (const auto b = steps_back_in(c); b.records > 0) {
    add(b.records, " values of 'next' lead back in time, first in record ", b.first, ": from ", c.time[b.first], " to ",
        c.time[static_cast<std::size_t>(c.next[b.first])]);
  }
  return good;
}

/// The table that names the ends of each list: by list, the records it names (-1: none, -2: said elsewhere) and how
/// many it says there are (-1: it does not say).
struct chain_owner {
  std::string path;
  const char *first_field, *last_field, *count_field;
  std::vector<std::int32_t> first, last;
  std::vector<std::int64_t> count;
};

/// Adds what the owners get wrong. The ends are compared only where the lists are whole.
inline void check_owner(const record_chains& c, bool whole, const chain_owner& o, check_report& report,
                        const std::string& repair) {
  const bool complete = std::find(c.group.begin(), c.group.end(), -2) == c.group.end();
  if (!c.known() || c.group.empty() || !complete) { return; }
  const chain_ends ends(c);
  const auto say = [&](const record_finding& f, const char* field, const std::string& what) {
    if (f.records == 0) { return; }
    report.add(
        concat(o.path, ": ", f.records, " values of '", field, "' are not ", what, ", first in record ", f.first),
        repair);
  };
  const auto compare = [&](const std::vector<std::int32_t>& named, const std::vector<std::int32_t>& real,
                           const char* field, const char* what) {
    record_finding f;
    for (std::size_t g = 0; whole && g < named.size(); ++g) {
      const auto is = g < real.size() ? real[g] : -1;
      if (is != -2 && named[g] != -2 && named[g] != is) { f.add(g); }
    }
    say(f, field, concat("the ", what, " record of their ", c.of));
  };
  compare(o.first, ends.first, o.first_field, "first");
  compare(o.last, ends.last, o.last_field, "last");
  record_finding f;
  std::string difference;
  for (std::size_t g = 0; g < o.count.size(); ++g) {
    const auto is = g < ends.length.size() ? ends.length[g] : 0;
    if (o.count[g] < 0 || o.count[g] == is) { continue; }
    f.add(g);
    if (f.records == 1) { difference = concat(o.count[g], " instead of ", is); }
  }
  say(f, o.count_field, concat("the number of records of their ", c.of, " (", difference, ")"));
}

} // namespace sqs::detail
