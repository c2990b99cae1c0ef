//! The named limits of Git work, each with its unit and its reason.

use std::time::Duration;

/// Answering a listing takes milliseconds over HTTP and one key exchange over SSH; twenty seconds is an outage.
const LIST_DEADLINE: Duration = Duration::from_secs(20);
/// A first clone of a large repository over a slow line.
const FETCH_DEADLINE: Duration = Duration::from_mins(10);
/// Repacking reads and writes every object once.
const MAINTAIN_DEADLINE: Duration = Duration::from_mins(5);
/// A revert has a few kilobytes; the time is for the hooks of the upstream.
const PUSH_DEADLINE: Duration = Duration::from_mins(1);
/// Longer than any honest TCP or TLS set-up across the world.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Longest silence inside an answer; Git servers send keep-alives every 5 s while they count objects.
const IDLE_DEADLINE: Duration = Duration::from_secs(20);
/// About 250,000 refs of an old server that cannot filter; parsed they take some ten times as much memory.
const LISTING_BYTES_MAX: u64 = 16 << 20;
/// Far above any repository of configuration files, far below a small disk.
const PACK_BYTES_MAX: u64 = 4 << 30;
/// Far above any revert or note; it is collected in memory, and over HTTP sent in one request.
const PUSH_BYTES_MAX: u64 = 7 << 20;
/// Largest single object that is inflated, above the 100 MiB that large forges allow. Config files end at 1 MiB; a
/// repository may also hold images and archives.
pub const OBJECT_BYTES_MAX: u64 = 128 << 20;
/// Every non-empty fetch adds a pack; lookups slow down and file handles grow with their number.
const PACKS_MAX: usize = 40;
/// What is proposed is small and may come from anybody; an annex beyond this is emptied, and fetches again.
const ANNEX_BYTES_MAX: u64 = 256 << 20;
/// Tags beyond this are not resolvable by name; each costs a line in a file and a lookup.
const TAGS_MAX: usize = 10_000;

/// Limits of a [`Mirror`](super::Mirror). Tests set them low.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirrorLimits {
    /// Whole time of a listing.
    pub list: Duration,
    /// Whole time of a fetch.
    pub fetch: Duration,
    /// Whole time of maintenance.
    pub maintain: Duration,
    /// Whole time of a push.
    pub push: Duration,
    /// Time to establish a connection.
    pub connect: Duration,
    /// Longest silence of the upstream inside an answer.
    pub idle: Duration,
    /// Most bytes of a listing.
    pub listing_bytes_max: u64,
    /// Most bytes of a pack on the wire.
    pub pack_bytes_max: u64,
    /// Most bytes of a pack that is pushed.
    pub push_bytes_max: u64,
    /// Largest object, in bytes, inflated.
    pub object_bytes_max: u64,
    /// Packs from which on maintenance does something.
    pub packs_max: usize,
    /// Most tags that are remembered.
    pub tags_max: usize,
    /// Most bytes of an annex before it is emptied, and of one pack that it takes.
    pub annex_bytes_max: u64,
    /// Limits of the trees that are checked after a fetch.
    pub read: ReadLimits,
}

impl Default for MirrorLimits {
    fn default() -> Self {
        Self {
            list: LIST_DEADLINE,
            fetch: FETCH_DEADLINE,
            maintain: MAINTAIN_DEADLINE,
            push: PUSH_DEADLINE,
            connect: CONNECT_DEADLINE,
            idle: IDLE_DEADLINE,
            listing_bytes_max: LISTING_BYTES_MAX,
            pack_bytes_max: PACK_BYTES_MAX,
            push_bytes_max: PUSH_BYTES_MAX,
            object_bytes_max: OBJECT_BYTES_MAX,
            packs_max: PACKS_MAX,
            tags_max: TAGS_MAX,
            annex_bytes_max: ANNEX_BYTES_MAX,
            read: ReadLimits::default(),
        }
    }
}

/// Limits of reading one commit's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Most entries of all directories together, directories included.
    pub entries_max: u64,
    /// Most levels of directories.
    pub depth_max: u64,
    /// Files above this size, in bytes, are named with their size and not read.
    pub file_bytes_max: u64,
    /// Most bytes of all files that are read, so that one commit fits into memory.
    pub total_bytes_max: u64,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            entries_max: 300_000,       // a monorepo of the size of Linux three times over
            depth_max: 64,              // deeper than any path of 1,024 bytes that a person would write
            file_bytes_max: 1 << 20,    // the default of `[limits] file_bytes`
            total_bytes_max: 256 << 20, // keeps the judge below its memory limit
        }
    }
}
