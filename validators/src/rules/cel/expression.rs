//! An expression, ready to be evaluated.
//!
//! Invariant: every name is resolved, every function is called with as many arguments as it takes, and the nesting is
//! bounded. What is deliberately absent: the spelling, but for the places of what an error may be about.

use super::functions::Function;
use super::scope::Variable;
use super::value::Type;
use crate::document::Range;

/// A part of an expression and where it stands.
#[derive(Debug)]
pub(super) struct Expr {
    pub(super) range: Range,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Constant(Constant),
    Variable(Variable),
    /// A variable of a loop, by the number of loops around its own.
    Local(usize),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    Field(Box<Expr>, String),
    /// Whether there is such a field.
    Has(Box<Expr>, String),
    /// What, and at which index.
    Index(Box<[Expr; 2]>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Logic(Logic, Box<[Expr; 2]>),
    /// Condition, then, else.
    Choice(Box<[Expr; 3]>),
    Arithmetic(Arithmetic, Box<[Expr; 2]>),
    Equal(Box<[Expr; 2]>),
    Order(Order, Box<[Expr; 2]>),
    /// What, and in which list or map.
    In(Box<[Expr; 2]>),
    Call(&'static Function, Vec<Expr>),
    Loop(Box<Loop>),
}

#[derive(Debug)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Type(Type),
}

/// What decides without its other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logic {
    And,
    Or,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Arithmetic {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Order {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }
}

/// One of the macros over a list, or over the keys of a map.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) over: Expr,
    pub(super) what: LoopKind,
    /// Which elements a `map` with three arguments takes.
    pub(super) guard: Option<Expr>,
    pub(super) body: Expr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

impl LoopKind {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "all" => Some(Self::All),
            "exists" => Some(Self::Exists),
            "exists_one" | "existsOne" => Some(Self::ExistsOne),
            "map" => Some(Self::Map),
            "filter" => Some(Self::Filter),
            _ => None,
        }
    }
}
