//! The table of functions.
//!
//! Invariant: what is not in the table cannot be called, and what is called has as many arguments as its function
//! takes; their kinds are seen when it runs.

use super::machine::Machine;
use super::pattern::Patterns;
use super::scope::Variable;
use super::value::Value;
use super::wrong::Wrong;
use super::{convert, helpers, text};
use crate::pointer;

/// Something that can be called.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// Arguments, the value before the dot counted.
    pub(super) takes: usize,
    /// How it is written.
    pub(super) usage: &'static str,
    /// Variables it looks at by itself.
    pub(super) sees: &'static [Variable],
    /// Looks at its last argument before any run, where that is a constant.
    pub(super) check: Option<Check>,
    pub(super) run: Run,
}

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `f(x)`
    Global,
    /// `x.f()`
    Member,
    /// Either.
    Both,
}

/// The answer of a function.
pub(super) type Answer<'a> = Result<Value<'a>, Wrong>;

type Run = for<'a, 'b> fn(&mut Machine<'a, 'b>, &[Value<'a>]) -> Answer<'a>;

type Check = fn(&str, &mut Patterns) -> Result<(), String>;

impl Function {
    const fn new(name: &'static str, form: Form, takes: usize, usage: &'static str, run: Run) -> Self {
        Self {
            name,
            form,
            takes,
            usage,
            sees: &[],
            check: None,
            run,
        }
    }

    const fn sees(mut self, variables: &'static [Variable]) -> Self {
        self.sees = variables;
        self
    }

    const fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }
}

/// All functions.
pub(super) static FUNCTIONS: [Function; 20] = [
    Function::new("size", Form::Both, 1, "size(value)", convert::size),
    Function::new("int", Form::Global, 1, "int(value)", convert::int),
    Function::new("double", Form::Global, 1, "double(value)", convert::double),
    Function::new("string", Form::Global, 1, "string(value)", convert::string),
    Function::new("bool", Form::Global, 1, "bool(text)", convert::boolean),
    Function::new("type", Form::Global, 1, "type(value)", convert::kind),
    Function::new(
        "duration",
        Form::Global,
        1,
        "duration('1m30s')",
        helpers::duration,
    )
    .check(check_duration),
    Function::new("ratio", Form::Global, 2, "ratio(new, old)", helpers::ratio),
    Function::new("sum", Form::Global, 1, "sum(list)", helpers::sum),
    Function::new(
        "changed",
        Form::Global,
        1,
        "changed('/pool/max')",
        helpers::changed,
    )
    .sees(&[Variable::New, Variable::Old])
    .check(check_pointer),
    Function::new(
        "glob",
        Form::Global,
        2,
        "glob(path, 'services/*/prod.toml')",
        helpers::glob,
    )
    .check(check_glob),
    Function::new(
        "matches",
        Form::Both,
        2,
        "text.matches('^[a-z]+$')",
        text::matches,
    )
    .check(check_regex),
    Function::new("contains", Form::Member, 2, "text.contains(part)", text::contains),
    Function::new(
        "startsWith",
        Form::Member,
        2,
        "text.startsWith(part)",
        text::starts_with,
    ),
    Function::new(
        "endsWith",
        Form::Member,
        2,
        "text.endsWith(part)",
        text::ends_with,
    ),
    Function::new(
        "lowerAscii",
        Form::Member,
        1,
        "text.lowerAscii()",
        text::lower_ascii,
    ),
    Function::new(
        "upperAscii",
        Form::Member,
        1,
        "text.upperAscii()",
        text::upper_ascii,
    ),
    Function::new("trim", Form::Member, 1, "text.trim()", text::trim),
    Function::new("split", Form::Member, 2, "text.split(separator)", text::split),
    Function::new("join", Form::Member, 2, "list.join(separator)", text::join),
];

fn check_duration(text: &str, _: &mut Patterns) -> Result<(), String> {
    helpers::milliseconds(text)
        .map(drop)
        .ok_or_else(|| helpers::NO_DURATION.to_owned())
}

fn check_pointer(text: &str, _: &mut Patterns) -> Result<(), String> {
    pointer::tokens(text)
        .map(drop)
        .ok_or_else(|| helpers::NO_POINTER.to_owned())
}

fn check_glob(text: &str, patterns: &mut Patterns) -> Result<(), String> {
    patterns.add_glob(text).map(drop)
}

fn check_regex(text: &str, patterns: &mut Patterns) -> Result<(), String> {
    patterns.add_regex(text).map(drop)
}
