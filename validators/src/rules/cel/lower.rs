//! From what the parser read to what the machine runs.
//!
//! Invariant: it goes on after a mistake, so that all mistakes of an expression are told at once. What is deliberately
//! absent: kinds of values, which only a run knows.

use std::collections::BTreeSet;

use cel::common::ast::{
    CallExpr, EntryExpr, Expr as Parsed, IdedExpr, LiteralValue, MapExpr, SelectExpr, SourceInfo, operators,
};

use super::expression::{Arithmetic, Constant, Expr, Kind, Logic, Loop, LoopKind, Order};
use super::functions::{FUNCTIONS, Form, Function};
use super::pattern::Patterns;
use super::places::{Places, union};
use super::scope::Variable;
use super::value::Type;
use super::{Mistake, ScopeKind};
use crate::document::Range;
use crate::suggest;

/// One expression on its way.
pub(super) struct Lowering<'s> {
    places: Places<'s>,
    scope: ScopeKind,
    /// Variables of the loops around, the outermost first.
    locals: Vec<&'s str>,
    mentions: BTreeSet<Variable>,
    patterns: Patterns,
    mistakes: Vec<Mistake>,
}

impl<'s> Lowering<'s> {
    pub(super) fn new(text: &'s str, places: &'s SourceInfo, scope: ScopeKind) -> Self {
        Self {
            places: Places::new(text, places),
            scope,
            locals: Vec::new(),
            mentions: BTreeSet::new(),
            patterns: Patterns::default(),
            mistakes: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> (BTreeSet<Variable>, Patterns, Vec<Mistake>) {
        (self.mentions, self.patterns, self.mistakes)
    }

    pub(super) fn expr(&mut self, parsed: &'s IdedExpr) -> Expr {
        let token = self.places.token(parsed.id);
        match &parsed.expr {
            Parsed::Literal(literal) => self.literal(token, literal),
            Parsed::Ident(name) => self.name(token, name),
            Parsed::Select(select) => self.select(token, select),
            Parsed::Call(call) => self.call(token, call),
            Parsed::List(list) => {
                let items = self.exprs(&list.elements);
                self.spanning(token, items, Kind::List)
            }
            Parsed::Map(map) => self.map(token, map),
            Parsed::Struct(_) => self.mistake(
                token,
                "there are no types to make here",
                "write a map: `{'key': value}`",
            ),
            Parsed::Comprehension(_) | Parsed::Unspecified => {
                self.mistake(token, "this cannot be used in a rule", "write it another way")
            }
        }
    }

    fn exprs(&mut self, parsed: &'s [IdedExpr]) -> Vec<Expr> {
        parsed.iter().map(|expr| self.expr(expr)).collect()
    }

    fn literal(&mut self, token: Range, literal: &LiteralValue) -> Expr {
        let constant = match literal {
            LiteralValue::Null => Constant::Null,
            LiteralValue::Boolean(value) => Constant::Bool(*value.inner()),
            LiteralValue::Int(value) => Constant::Int(*value.inner()),
            // Numbers are of two kinds here, and `1u` is one of the first.
            LiteralValue::UInt(value) => {
                let Ok(value) = i64::try_from(*value.inner()) else {
                    let message = format!("integer does not fit 64 bits: `{}`", value.inner());
                    return self.mistake(token, &message, "integers are signed here");
                };
                Constant::Int(value)
            }
            LiteralValue::Double(value) => Constant::Double(*value.inner()),
            LiteralValue::String(text) => Constant::Text(text.inner().to_owned()),
            LiteralValue::Bytes(_) => {
                return self.mistake(
                    token,
                    "documents have no bytes",
                    "write a string, without the `b`",
                );
            }
        };
        expr(token, Kind::Constant(constant))
    }

    fn name(&mut self, token: Range, name: &str) -> Expr {
        if let Some(index) = self.locals.iter().rposition(|local| *local == name) {
            return expr(token, Kind::Local(index));
        }
        if let Some(variable) = Variable::named(name) {
            if variable.needs_a_document() && self.scope == ScopeKind::Commit {
                let message = format!("a rule about a commit has no `{name}`");
                let hint = "go through `configs`, or leave `scope` out to judge each document";
                return self.mistake(token, &message, hint);
            }
            self.mentions.insert(variable);
            return expr(token, Kind::Variable(variable));
        }
        if let Some(kind) = Type::named(name) {
            return expr(token, Kind::Constant(Constant::Type(kind)));
        }
        let known: Vec<&str> = self.names().collect();
        let hint = suggest::hint(name, &known);
        self.mistake(token, &format!("unknown name: `{name}`"), &hint)
    }

    /// Names that can be used here.
    fn names(&self) -> impl Iterator<Item = &'s str> {
        let scope = self.scope;
        let variables = Variable::ALL
            .iter()
            .filter(move |(_, variable)| scope == ScopeKind::Document || !variable.needs_a_document())
            .map(|(name, _)| *name);
        variables.chain(self.locals.clone())
    }

    fn select(&mut self, token: Range, select: &'s SelectExpr) -> Expr {
        let operand = self.expr(&select.operand);
        let range = union(operand.range, self.places.field(token, &select.field));
        expr(range, Kind::Field(Box::new(operand), select.field.clone()))
    }

    fn map(&mut self, token: Range, map: &'s MapExpr) -> Expr {
        let mut entries = Vec::new();
        for entry in &map.entries {
            if let EntryExpr::MapEntry(entry) = &entry.expr {
                entries.push((self.expr(&entry.key), self.expr(&entry.value)));
            }
        }
        let range = entries
            .last()
            .map_or(token, |(_, value)| union(token, value.range));
        expr(self.places.closed(range), Kind::Map(entries))
    }

    fn call(&mut self, token: Range, call: &'s CallExpr) -> Expr {
        match (
            call.func_name.as_str(),
            call.target.as_deref(),
            call.args.as_slice(),
        ) {
            ("has", None, [argument]) => self.has(token, argument),
            (name, Some(over), [variable, rest @ ..])
                if LoopKind::named(name).is_some() && !rest.is_empty() =>
            {
                self.run_loop(token, name, over, (variable, rest))
            }
            (name, None, arguments) => match self.operator(token, name, arguments) {
                Some(expr) => expr,
                None => self.function(token, call),
            },
            (_, _, _) => self.function(token, call),
        }
    }

    /// What a sign means; `None` if the name is of a function.
    fn operator(&mut self, token: Range, name: &str, arguments: &'s [IdedExpr]) -> Option<Expr> {
        if let [operand] = arguments {
            let make = match name {
                operators::LOGICAL_NOT => Kind::Not,
                operators::NEGATE => Kind::Negate,
                _ => return None,
            };
            let operand = Box::new(self.expr(operand));
            return Some(expr(union(token, operand.range), make(operand)));
        }
        if let ([condition, then, otherwise], operators::CONDITIONAL) = (arguments, name) {
            let parts = [self.expr(condition), self.expr(then), self.expr(otherwise)];
            let [first, .., last] = &parts;
            return Some(expr(
                union(first.range, last.range),
                Kind::Choice(Box::new(parts)),
            ));
        }
        let [left, right] = arguments else { return None };
        let make: fn(Box<[Expr; 2]>) -> Kind = match name {
            operators::LOGICAL_AND => |pair| Kind::Logic(Logic::And, pair),
            operators::LOGICAL_OR => |pair| Kind::Logic(Logic::Or, pair),
            operators::ADD => |pair| Kind::Arithmetic(Arithmetic::Add, pair),
            operators::SUBSTRACT => |pair| Kind::Arithmetic(Arithmetic::Subtract, pair),
            operators::MULTIPLY => |pair| Kind::Arithmetic(Arithmetic::Multiply, pair),
            operators::DIVIDE => |pair| Kind::Arithmetic(Arithmetic::Divide, pair),
            operators::MODULO => |pair| Kind::Arithmetic(Arithmetic::Remainder, pair),
            operators::LESS => |pair| Kind::Order(Order::Less, pair),
            operators::LESS_EQUALS => |pair| Kind::Order(Order::AtMost, pair),
            operators::GREATER => |pair| Kind::Order(Order::Greater, pair),
            operators::GREATER_EQUALS => |pair| Kind::Order(Order::AtLeast, pair),
            operators::EQUALS | operators::NOT_EQUALS => Kind::Equal,
            operators::IN => Kind::In,
            operators::INDEX => Kind::Index,
            _ => return None,
        };
        let pair = Box::new([self.expr(left), self.expr(right)]);
        let [left, right] = &*pair;
        let range = union(token, union(left.range, right.range));
        let range = if name == operators::INDEX {
            self.places.closed(range)
        } else {
            range
        };
        let built = expr(range, make(pair));
        Some(if name == operators::NOT_EQUALS {
            expr(range, Kind::Not(Box::new(built)))
        } else {
            built
        })
    }

    fn has(&mut self, token: Range, argument: &'s IdedExpr) -> Expr {
        let inside = self.expr(argument);
        let Kind::Field(operand, name) = inside.kind else {
            return self.mistake(
                inside.range,
                "`has` asks for a field",
                "write `has(new.pool)`, or `'key' in new` for a key that is no name",
            );
        };
        let range = union(self.places.name_of_call(token, "has"), inside.range);
        expr(self.places.closed(range), Kind::Has(operand, name))
    }

    fn run_loop(
        &mut self,
        token: Range,
        name: &str,
        over: &'s IdedExpr,
        (variable, rest): (&'s IdedExpr, &'s [IdedExpr]),
    ) -> Expr {
        let over = self.expr(over);
        let usage = loop_usage(name);
        let Parsed::Ident(local) = &variable.expr else {
            let place = self.places.token(variable.id);
            return self.mistake(
                place,
                &format!("`{name}` starts with the name of an element"),
                &usage,
            );
        };
        let Some(what) = LoopKind::named(name) else {
            return self.mistake(token, "unknown loop", &usage);
        };
        let (guard, body) = match (what, rest) {
            (_, [body]) => (None, body),
            (LoopKind::Map, [guard, body]) => (Some(guard), body),
            (_, _) => {
                let message = format!("`{name}` has too many arguments");
                return self.mistake(self.places.name_of_call(token, name), &message, &usage);
            }
        };
        self.locals.push(local);
        let guard = guard.map(|guard| self.expr(guard));
        let body = self.expr(body);
        self.locals.pop();
        let range = self.places.closed(union(over.range, body.range));
        let parts = Loop {
            over,
            what,
            guard,
            body,
        };
        expr(range, Kind::Loop(Box::new(parts)))
    }

    fn function(&mut self, token: Range, call: &'s CallExpr) -> Expr {
        let target = call.target.as_deref().map(|target| self.expr(target));
        let form = if target.is_some() {
            Form::Member
        } else {
            Form::Global
        };
        let arguments: Vec<Expr> = target.into_iter().chain(self.exprs(&call.args)).collect();
        let place = self.places.name_of_call(token, &call.func_name);
        let Some(function) = FUNCTIONS.iter().find(|function| function.name == call.func_name) else {
            return self.unknown_function(place, &call.func_name);
        };
        let form_fits = function.form == Form::Both || function.form == form;
        if !form_fits || arguments.len() != function.takes {
            let message = format!("`{}` is not called like this", function.name);
            return self.mistake(place, &message, &format!("write `{}`", function.usage));
        }
        if self.scope == ScopeKind::Commit && function.sees.iter().any(|seen| seen.needs_a_document()) {
            let message = format!("a rule about a commit has no `{}`", function.name);
            return self.mistake(place, &message, "leave `scope` out to judge each document");
        }
        self.mentions.extend(function.sees);
        self.check_constant(function, arguments.last());
        self.spanning(place, arguments, |arguments| Kind::Call(function, arguments))
    }

    fn check_constant(&mut self, function: &Function, last: Option<&Expr>) {
        if let Some(check) = function.check
            && let Some(last) = last
            && let Kind::Constant(Constant::Text(text)) = &last.kind
            && let Err(message) = check(text, &mut self.patterns)
        {
            self.mistake(last.range, &message, &format!("write `{}`", function.usage));
        }
    }

    fn unknown_function(&mut self, place: Range, name: &str) -> Expr {
        let message = format!("unknown function: `{name}`");
        if name == "has" || LoopKind::named(name).is_some() {
            return self.mistake(
                place,
                &format!("`{name}` is not called like this"),
                &loop_usage(name),
            );
        }
        let loops = ["has", "all", "exists", "exists_one", "map", "filter"];
        let known: Vec<&str> = FUNCTIONS
            .iter()
            .map(|function| function.name)
            .chain(loops)
            .collect();
        let hint = suggest::hint(name, &known);
        self.mistake(place, &message, &hint)
    }

    /// Something that reaches from its token over all its parts to its closing bracket.
    fn spanning(&self, token: Range, parts: Vec<Expr>, make: impl FnOnce(Vec<Expr>) -> Kind) -> Expr {
        let range = parts.iter().fold(token, |range, part| union(range, part.range));
        expr(self.places.closed(range), make(parts))
    }

    /// Writes a mistake down; what is given back keeps its place.
    fn mistake(&mut self, range: Range, message: &str, hint: &str) -> Expr {
        self.mistakes.push(Mistake {
            range,
            message: message.to_owned(),
            hint: hint.to_owned(),
        });
        expr(range, Kind::Constant(Constant::Null))
    }
}

fn loop_usage(name: &str) -> String {
    match name {
        "has" => "write `has(new.pool)`".to_owned(),
        "map" => "write `list.map(x, value)` or `list.map(x, condition, value)`".to_owned(),
        other => format!("write `list.{other}(x, condition)`"),
    }
}

fn expr(range: Range, kind: Kind) -> Expr {
    Expr { range, kind }
}
