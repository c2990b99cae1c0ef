//! Codes of `headwater.toml`, and of files that do not fit what it says.

use headwater_wire::Severity;

use super::{Example, Explanation, Family};

const WEB: (&str, &str) = ("web.toml", "port = 80\n");

pub(super) const FAMILY: Family = Family {
    name: "manifest",
    about: "`headwater.toml` is wrong, or the files are not as it says. Such a commit is rejected as a \
            whole: the old manifest is never used for a new tree.",
    codes: &[
        Explanation {
            code: "manifest/config-name",
            severity: Severity::Error,
            meaning: "The `name` of a `[[config]]`, with its placeholders filled in, is no name of a config.",
            reason: "Names of configs stand in URLs and in paths of files, so not every text can be one.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[[config]]\nname = \"/web\"\nlayers = [\"web.toml\"]\n",
                ),
                WEB,
            ]),
            remedy: "Write a relative path such as `payments/prod`, or rename the file that gives the \
                     placeholder its value.",
        },
        Explanation {
            code: "manifest/duplicate-name",
            severity: Severity::Error,
            meaning: "Two configs, or two variants of one config, have one name.",
            reason: "Who asks for the name would get one of the two, and nobody could say which.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[[config]]\nname = \"web\"\nlayers = [\"web.toml\"]\n\n[[config]]\nname = \
                     \"web\"\nlayers = [\"other.toml\"]\n",
                ),
                WEB,
                ("other.toml", "port = 81\n"),
            ]),
            remedy: "Rename one. An entry that yields many configs needs every placeholder in its `name`.",
        },
        Explanation {
            code: "manifest/expression",
            severity: Severity::Error,
            meaning: "An expression of a rule, or a `{…}` of its message, is not written as one.",
            reason: "A rule that cannot be read would guard nothing.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[[config]]\nname = \"web\"\nlayers = [\"web.toml\"]\nrules = \
                     [\"port\"]\n\n[rule.port]\nexpr = \"new.port ==\"\n",
                ),
                WEB,
            ]),
            remedy: "Correct it at the marked place; an expression looks like `new.pool.max <= 100 && \
                     has(new.owner)`.",
        },
        Explanation {
            code: "manifest/format",
            severity: Severity::Error,
            meaning: "The manifest's `format` is one that this release does not read.",
            reason: "The words of another format may mean something else, so nothing of it is guessed at.",
            example: Example::Files(&[("headwater.toml", "format = 2\n")]),
            remedy: "Upgrade the server if the number is newer. `headwater check --fix` writes a number that \
                     was put in quotes, or forgotten.",
        },
        Explanation {
            code: "manifest/layer-ambiguous",
            severity: Severity::Error,
            meaning: "A layer allows alternatives such as `.{toml,yaml}`, and more than one of them is \
                      there.",
            reason: "Only one file can be the layer, and which is for nobody to guess.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[[config]]\nname = \"web\"\nlayers = [\"web.{toml,json}\"]\n",
                ),
                WEB,
                ("web.json", "{\"port\": 81}\n"),
            ]),
            remedy: "Keep one of the files.",
        },
        Explanation {
            code: "manifest/layer-missing",
            severity: Severity::Error,
            meaning: "A layer that is not optional is not there, or a config has no layer at all.",
            reason: "A document without one of its layers would be served with values that nobody meant.",
            example: Example::Files(&[(
                "headwater.toml",
                "format = 1\n[[config]]\nname = \"web\"\nlayers = [\"web.toml\"]\n",
            )]),
            remedy: "Add the file, correct the name, or put a `?` behind it if it may be absent.",
        },
        Explanation {
            code: "manifest/layer-twice",
            severity: Severity::Error,
            meaning: "A config would have the same file as a layer twice.",
            reason: "Only the last place counts, so the first one says something that is not so.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[[config]]\nname = \"web\"\nlayers = [\"web.toml\", \"web.toml\"]\n",
                ),
                WEB,
            ]),
            remedy: "Remove one of the two.",
        },
        Explanation {
            code: "manifest/limit",
            severity: Severity::Error,
            meaning: "A limit of the manifest is above the server's.",
            reason: "A repository may ask for less than the server allows, never for more.",
            example: Example::Files(&[("headwater.toml", "format = 1\n[limits]\ndepth = 1000\n")]),
            remedy: "Lower it, or remove the line; the finding says what the server allows.",
        },
        Explanation {
            code: "manifest/missing-key",
            severity: Severity::Error,
            meaning: "A key that a table of the manifest needs is not there.",
            reason: "There is no value that would be right for everybody.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[[config]]\nlayers = [\"web.toml\"]\n",
                ),
                WEB,
            ]),
            remedy: "Add it. A missing `format` is written by `headwater check --fix`.",
        },
        Explanation {
            code: "manifest/no-config",
            severity: Severity::Warning,
            meaning: "A `[[config]]` yields nothing, since no file is like its first layer.",
            reason: "A directory may have been renamed without the manifest, and the configs are gone.",
            example: Example::Files(&[(
                "headwater.toml",
                "format = 1\n[[config]]\nname = \"{service}\"\nlayers = [\"services/{service}.toml\"]\n",
            )]),
            remedy: "Correct the first layer, or remove the entry until there are files for it.",
        },
        Explanation {
            code: "manifest/pattern",
            severity: Severity::Error,
            meaning: "A path, glob or placeholder of the manifest is not written as one.",
            reason: "A pattern that is read otherwise than it was meant claims other files.",
            example: Example::Files(&[(
                "headwater.toml",
                "format = 1\n[[config]]\nname = \"web\"\nlayers = [\"/web.toml\"]\n",
            )]),
            remedy: "Write a path relative to the top of the repository, with `/` between; layers end in \
                     `.toml`, `.json`, `.yaml` or `.yml`. The hint says what is wrong with this one.",
        },
        Explanation {
            code: "manifest/pointer",
            severity: Severity::Error,
            meaning: "A pointer of the manifest is not written as one.",
            reason: "A pointer that is read otherwise than it was meant guards another place.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[[config]]\nname = \"web\"\nlayers = [\"web.toml\"]\nrules = \
                     [\"port\"]\n\n[rule.port]\nat = \"port\"\nimmutable = true\n",
                ),
                WEB,
            ]),
            remedy: "Begin with `/`, such as `/pool/max`, or `/pools/*/max` for all pools.",
        },
        Explanation {
            code: "manifest/rollout",
            severity: Severity::Error,
            meaning: "A config asks for a rollout policy that the manifest does not have.",
            reason: "A misspelt policy would move the whole fleet at once.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[[config]]\nname = \"web\"\nlayers = [\"web.toml\"]\nrollout = \
                     \"careful\"\n",
                ),
                WEB,
            ]),
            remedy: "Correct the name, or add a table `[rollout.NAME]`.",
        },
        Explanation {
            code: "manifest/rule",
            severity: Severity::Error,
            meaning: "A config names a rule that the manifest does not have, or names one twice.",
            reason: "A misspelt rule would guard nothing.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[[config]]\nname = \"web\"\nlayers = [\"web.toml\"]\nrules = \
                     [\"pool-step\"]\n",
                ),
                WEB,
            ]),
            remedy: "Correct the name, or add a table `[rule.NAME]`.",
        },
        Explanation {
            code: "manifest/schema-ambiguous",
            severity: Severity::Error,
            meaning: "A schema allows alternatives such as `.{json,yaml}`, and more than one of them is \
                      there.",
            reason: "Only one file can be the schema, and which is for nobody to guess.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[[config]]\nname = \"web\"\nlayers = [\"web.toml\"]\nschema = \
                     \"s.{json,yaml}\"\n",
                ),
                WEB,
                ("s.json", "{}\n"),
                ("s.yaml", "{}\n"),
            ]),
            remedy: "Keep one of the files.",
        },
        Explanation {
            code: "manifest/schema-missing",
            severity: Severity::Error,
            meaning: "A schema that is not optional is not there.",
            reason: "Without it nothing would be checked, and it would look as if everything were.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[[config]]\nname = \"web\"\nlayers = [\"web.toml\"]\nschema = \
                     \"web.schema.json\"\n",
                ),
                WEB,
            ]),
            remedy: "Add the file, correct the name, or put a `?` behind it if a config may have no schema.",
        },
        Explanation {
            code: "manifest/type",
            severity: Severity::Error,
            meaning: "A value of the manifest is of another kind than its key takes.",
            reason: "What the value was meant to say is for nobody to guess.",
            example: Example::Files(&[("headwater.toml", "format = 1\n[limits]\ndepth = \"ten\"\n")]),
            remedy: "Write it as the hint says.",
        },
        Explanation {
            code: "manifest/unbound",
            severity: Severity::Error,
            meaning: "A placeholder has no value, or has values and is used nowhere.",
            reason: "A placeholder gets its values from the first layer or from `bind`; without any there is \
                     no name and no file.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[[config]]\nname = \"web/{env}\"\nlayers = [\"web.toml\"]\n",
                ),
                WEB,
            ]),
            remedy: "Use it in the first layer, list its values in `bind`, or remove it.",
        },
        Explanation {
            code: "manifest/unknown-key",
            severity: Severity::Error,
            meaning: "The manifest has a key that this release does not know.",
            reason: "A misspelt key would be a guard that guards nothing; and a server that is too old must \
                     say so.",
            example: Example::Files(&[(
                "headwater.toml",
                "format = 1\n[defaults]\nunmached = \"reject\"\n",
            )]),
            remedy: "Correct the name, or upgrade the server if the key is newer than it.",
        },
        Explanation {
            code: "manifest/unknown-layer",
            severity: Severity::Error,
            meaning: "A file stands beside the layers of a config with `deny_unknown_layers`, and no layer \
                      names it.",
            reason: "`prdo.toml` would never be read, and nobody would notice.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[[config]]\nname = \"web\"\nlayers = [\"web/base.toml\", \
                     \"web/prod.toml?\"]\ndeny_unknown_layers = true\n",
                ),
                ("web/base.toml", "port = 80\n"),
                ("web/prdo.toml", "port = 443\n"),
            ]),
            remedy: "Correct the name of the file, name it in `layers`, or remove it.",
        },
        Explanation {
            code: "manifest/unmatched",
            severity: Severity::Error,
            meaning: "No `[[config]]` claims a config file, and `defaults.unmatched` is `warn` or `reject`.",
            reason: "A file that nothing reads may be a layer with a misspelt name. With `warn` it is a \
                     warning, with `reject` an error.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[defaults]\nunmatched = \"reject\"\n",
                ),
                WEB,
            ]),
            remedy: "Name it in `layers`, add it to `defaults.ignore`, or remove it.",
        },
        Explanation {
            code: "manifest/unreadable",
            severity: Severity::Error,
            meaning: "`headwater.toml` is no file that can be read: a link, a directory, too large, or kept \
                      in Git LFS.",
            reason: "A repository whose manifest cannot be read must not be taken for one that has none.",
            example: Example::Files(&[(
                "headwater.toml",
                "version https://git-lfs.github.com/spec/v1\n\
                 oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n\
                 size 12345\n",
            )]),
            remedy: "Commit the manifest itself as a file.",
        },
        Explanation {
            code: "manifest/unused-rule",
            severity: Severity::Warning,
            meaning: "No config names a rule of the manifest, so it guards nothing.",
            reason: "Whoever reads the rule believes that it holds.",
            example: Example::Files(&[(
                "headwater.toml",
                "format = 1\n[rule.port]\nat = \"/port\"\nimmutable = true\n",
            )]),
            remedy: "Name it in `rules` of a `[[config]]`, or remove it.",
        },
        Explanation {
            code: "manifest/value",
            severity: Severity::Error,
            meaning: "A value of the manifest is of the right kind, and means nothing there.",
            reason: "What the value was meant to say is for nobody to guess.",
            example: Example::Files(&[("headwater.toml", "format = 1\n[defaults]\nregex = \"fast\"\n")]),
            remedy: "Write it as the hint says.",
        },
    ],
};
