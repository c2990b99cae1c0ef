//! Codes of what is too large or takes too long.

use headwater_wire::Severity;

use super::{Example, Explanation, Family};

pub(super) const FAMILY: Family = Family {
    name: "limit",
    about: "Something is larger, or takes longer, than is allowed, so it was not judged as a whole.",
    codes: &[
        Explanation {
            code: "limit/crash",
            severity: Severity::Error,
            meaning: "The validators failed on this commit: the process that works out the verdict ended \
                      before it had one.",
            reason: "What cannot be judged is not served. A server judges every commit in a process of its \
                     own, so nothing else was harmed.",
            example: Example::Words("A commit that meets a fault of Headwater."),
            remedy: "Report it with the commit, since it is a fault of Headwater. Until then, undo what the \
                     commit changed last.",
        },
        Explanation {
            code: "limit/deadline",
            severity: Severity::Error,
            meaning: "The verdict took longer, or more of the processor, than the server allows.",
            reason: "A commit that takes minutes to judge would hold up all that come after it.",
            example: Example::Words(
                "A schema that tries thousands of alternatives on each of thousands of values.",
            ),
            remedy: "Make the documents and the schemas of the commit simpler, or split the repository.",
        },
        Explanation {
            code: "limit/documents",
            severity: Severity::Error,
            meaning: "The repository has more documents than the server takes, base and variants counted.",
            reason: "`bind` takes every combination of its values, so three lists of a hundred values are a \
                     million documents.",
            example: Example::Words(
                "`bind` with a list of 300 regions and one of 300 services: 90,000 documents.",
            ),
            remedy: "Bind fewer values, let the first layer find the names that really are there, or split \
                     the repository.",
        },
        Explanation {
            code: "limit/file-bytes",
            severity: Severity::Error,
            meaning: "A config file, schema or layer is larger than `limits.file_bytes`.",
            reason: "Configuration is read by people and held in memory by every instance; a file of many \
                     megabytes is mostly data that was committed by mistake.",
            example: Example::Files(&[
                ("headwater.toml", "format = 1\n[limits]\nfile_bytes = 40\n"),
                (
                    "web.toml",
                    "banner = \"a text that is longer than forty bytes\"\n",
                ),
            ]),
            remedy: "Split the file into layers or configs. If the manifest sets the limit, it can be raised \
                     there, up to the server's.",
        },
        Explanation {
            code: "limit/files",
            severity: Severity::Error,
            meaning: "The tree has more entries than `limits.files`.",
            reason: "Every commit is read as a whole, so the size of the repository decides how soon a \
                     change is served.",
            example: Example::Files(&[
                ("headwater.toml", "format = 1\n[limits]\nfiles = 1\n"),
                ("web.toml", "port = 80\n"),
            ]),
            remedy: "Raise `files` under `[limits]` of the manifest if it is set there; else split the repository, or \
                     let the operator of the server raise `files_max`.",
        },
        Explanation {
            code: "limit/findings",
            severity: Severity::Info,
            meaning: "There are more findings than are shown; the message says how many.",
            reason: "A mistake in a layer that everything shares is found in every config, and a list of \
                     thousands hides what matters. Errors are kept before warnings.",
            example: Example::Files(&[
                ("headwater.toml", "format = 1\n[limits]\nfindings = 1\n"),
                ("api.toml", "port = \n"),
                ("web.toml", "port = \n"),
            ]),
            remedy: "Correct what is shown and check again, or raise `limits.findings` in the manifest.",
        },
        Explanation {
            code: "limit/forbidden",
            severity: Severity::Error,
            meaning: "The process that works out the verdict tried to reach a file, the network or another \
                      process, and was ended.",
            reason: "A verdict needs nothing but the commit, so this is an attack that found a hole, or a \
                     fault of Headwater. What it reached for was not reached.",
            example: Example::Words("A document made to take over the program that reads it."),
            remedy: "Look at who made the commit, and report it.",
        },
        Explanation {
            code: "limit/killed",
            severity: Severity::Error,
            meaning: "The process that works out the verdict was killed from outside, twice.",
            reason: "It says nothing about the commit. The machine is short of memory, or somebody ended the \
                     process.",
            example: Example::Words("The kernel's out-of-memory killer."),
            remedy: "Look into the log of the machine. What is said here is not remembered over a restart of \
                     the server.",
        },
        Explanation {
            code: "limit/memory",
            severity: Severity::Error,
            meaning: "The verdict took more memory than it may.",
            reason: "A hostile commit must not take the memory of the service away.",
            example: Example::Words("A schema whose references multiply."),
            remedy: "Look for very large or deeply recursive documents and schemas in the commit, and make \
                     them smaller.",
        },
        Explanation {
            code: "limit/merged-bytes",
            severity: Severity::Error,
            meaning: "All documents of the tree together are larger than the server takes.",
            reason: "One large layer that a thousand configs share is stored once in Git and a thousand \
                     times in the documents that are served.",
            example: Example::Words("A layer of 1 MiB that 100 configs share: 100 MiB of documents."),
            remedy: "Make the layers that many configs share smaller, or split the repository.",
        },
        Explanation {
            code: "limit/object-bytes",
            severity: Severity::Error,
            meaning: "A file of any kind is larger than what a server fetches: 128 MiB.",
            reason: "A server fetches all of a branch, so one file that is too large stops everything that comes \
                     after it, also when a later commit removes the file again.",
            example: Example::Words("A database dump that was committed beside the configs."),
            remedy: "Take the file out of the commit before it is pushed. Where it was pushed already, take it out \
                     of the commits that are not published yet, and push with force.",
        },
        Explanation {
            code: "limit/stack",
            severity: Severity::Error,
            meaning: "The verdict went so deep that it overflowed its stack.",
            reason: "A hostile commit must hurt nobody but itself.",
            example: Example::Words("A schema that refers to itself thousands of levels deep."),
            remedy: "Make the schemas and expressions of the commit less deeply nested.",
        },
        Explanation {
            code: "limit/tree",
            severity: Severity::Error,
            meaning: "The commit has more entries, levels of directories or bytes than are read.",
            reason: "What cannot be read as a whole cannot be judged as a whole, and nothing is served that \
                     was not judged.",
            example: Example::Words("A vendored directory with a million files beside the configs."),
            remedy: "Keep what is not configuration out of the repository, or split it.",
        },
    ],
};
