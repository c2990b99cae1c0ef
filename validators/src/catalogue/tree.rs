//! Codes of entries of the tree: their names and kinds.

use headwater_wire::Severity;

use super::{Example, Explanation, Family};

pub(super) const FAMILY: Family = Family {
    name: "tree",
    about: "An entry of the commit has a name or a kind that cannot be served.",
    codes: &[
        Explanation {
            code: "tree/absent",
            severity: Severity::Error,
            meaning: "A file that is needed is not in the tree.",
            reason: "A document is made from all its layers or not at all.",
            example: Example::Words(
                "A layer that was there when the manifest was read, and is not when it \
                                     is merged.",
            ),
            remedy: "Add the file, or remove what names it.",
        },
        Explanation {
            code: "tree/case-collision",
            severity: Severity::Warning,
            meaning: "Two paths differ in upper and lower case alone.",
            reason: "On macOS and Windows the two are one file: a clone there has only one of them, and the \
                     next commit from it loses the other.",
            example: Example::Files(&[("web.toml", "port = 80\n"), ("Web.toml", "port = 81\n")]),
            remedy: "Rename one of the two.",
        },
        Explanation {
            code: "tree/config-name",
            severity: Severity::Warning,
            meaning: "The path of a file cannot be the name of a config, so the file is not served.",
            reason: "Names of configs stand in URLs and in paths of files, so not every name of a file can \
                     be one.",
            example: Example::Files(&[(".git.toml", "port = 80\n")]),
            remedy: "Rename the file. Without its extension the path must be a relative path too, with no \
                     part that is empty, `.`, `..` or `.git`.",
        },
        Explanation {
            code: "tree/lfs-pointer",
            severity: Severity::Error,
            meaning: "The content of a file is kept in Git LFS, which is never fetched.",
            reason: "Git holds only a pointer, so the commit does not decide what the content is.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[[config]]\nname = \"web\"\nlayers = [\"web.toml\"]\n",
                ),
                (
                    "web.toml",
                    "version https://git-lfs.github.com/spec/v1\n\
                 oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n\
                 size 12345\n",
                ),
            ]),
            remedy: "Take the file out of Git LFS with `git lfs untrack`, and commit it again.",
        },
        Explanation {
            code: "tree/lost-config",
            severity: Severity::Error,
            meaning: "A config that is served now could not be read any more.",
            reason: "Without a manifest a file that cannot be read is tolerated, since it may never have \
                     been meant as config. One that programs use is another matter.",
            example: Example::Words(
                "`web.yaml` was good in the commit that is served, and a bracket is \
                                     missing now.",
            ),
            remedy: "Correct the file; the other findings say where. To give the config up, remove the file.",
        },
        Explanation {
            code: "tree/name",
            severity: Severity::Error,
            meaning: "A path has a character or a part that is refused.",
            reason: "Control characters, marks that turn the direction of writing and names that Git \
                     reserves make a path look like another one, or write outside of a clone. Where the name \
                     is a config's, the commit is rejected; elsewhere it is a warning, and the entry is not \
                     served.",
            example: Example::Words("`prod\\u{202e}lmot.toml`, or a file below a directory named `.git`."),
            remedy: "Rename it: `git ls-tree -r HEAD` shows the name with its odd characters escaped.",
        },
        Explanation {
            code: "tree/same-name",
            severity: Severity::Error,
            meaning: "Two files would be one config, since they differ in their extension alone.",
            reason: "Which of the two is meant is for nobody to guess.",
            example: Example::Files(&[("web.toml", "port = 80\n"), ("web.json", "{\"port\": 81}\n")]),
            remedy: "Keep one of the files, rename one, or make layers of them in a manifest.",
        },
        Explanation {
            code: "tree/submodule",
            severity: Severity::Error,
            meaning: "An entry is a submodule, which is never fetched.",
            reason: "A submodule is a commit of another repository, which this one does not hold. It is an \
                     error where a config, schema or layer is meant, and a warning elsewhere.",
            example: Example::Words("`git submodule add https://git.example.test/flags.git flags.toml`"),
            remedy: "Commit its files here, or serve it as a repository of its own.",
        },
        Explanation {
            code: "tree/symlink",
            severity: Severity::Error,
            meaning: "An entry is a symbolic link, which is never followed.",
            reason: "A link can point outside of the repository, where content does not depend on the \
                     commit. It is an error where a config, schema or layer is meant, and a warning \
                     elsewhere.",
            example: Example::Words("`ln -s ../shared/base.toml web.toml`"),
            remedy: "Commit the file itself, or use it as a layer where it is.",
        },
        Explanation {
            code: "tree/unread",
            severity: Severity::Error,
            meaning: "A file is in the commit, and its content was not handed to the validators.",
            reason: "Nothing is served that was not read.",
            example: Example::Words("None: a program that reads trees would have a fault."),
            remedy: "Report it: it is a fault of Headwater, not of the commit.",
        },
    ],
};
