//! Evaluates an expression.
//!
//! Invariant: each part that is evaluated takes a step first, and what a part makes or goes through takes steps as it
//! grows, so that a run ends. When no steps are left nothing passes over that error. What is deliberately absent:
//! what each operator and function does.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::RunError;
use super::arithmetic;
use super::budget::{Budget, Meter};
use super::collection::{Key, List, Map};
use super::compare;
use super::expression::{Constant, Expr, Kind, Logic, Loop, LoopKind};
use super::pattern::Patterns;
use super::scope::{Scope, Variable};
use super::value::Value;
use super::wrong::{Fault, Wrong};

/// Steps of an error that is passed over, since its words are made all the same.
const FAULT_STEPS: u64 = 16;

/// One run.
pub(super) struct Machine<'a, 'b> {
    pub(super) scope: &'a Scope<'a>,
    pub(super) meter: Meter<'b>,
    /// Patterns that stand in the expression.
    pub(super) patterns: &'a Patterns,
    /// Patterns that the run came across.
    pub(super) made_patterns: Patterns,
    /// Variables of the loops that run, the outermost first.
    locals: Vec<Value<'a>>,
}

impl<'a, 'b> Machine<'a, 'b> {
    pub(super) fn new(scope: &'a Scope<'a>, patterns: &'a Patterns, budget: &'b mut Budget) -> Self {
        Self {
            scope,
            meter: Meter::new(budget),
            patterns,
            made_patterns: Patterns::default(),
            locals: Vec::new(),
        }
    }

    /// The answer of a whole expression.
    pub(super) fn decide(mut self, root: &'a Expr) -> Result<bool, RunError> {
        let value = self.eval(root)?;
        let Value::Bool(answer) = value else {
            let wrong = Wrong::hinted(
                format!("a rule must be true or false, found {}", value.kind().in_words()),
                "compare it with something",
            );
            return Err(wrong.at(root.range).into());
        };
        Ok(answer)
    }

    pub(super) fn variable(&self, variable: Variable) -> Value<'a> {
        let scope = self.scope;
        match variable {
            Variable::New => scope.new.map_or(Value::Null, Value::of),
            Variable::Old => scope.old.map_or(Value::Null, Value::of),
            Variable::Config => {
                let config = |facts| Value::Map(Map::Config(facts, scope));
                scope.config.map_or(Value::Null, config)
            }
            Variable::Configs => Value::List(List::Configs(scope)),
            Variable::Files => Value::Map(Map::Files(scope.files)),
            Variable::Commit => {
                let commit = |facts| Value::Map(Map::Commit(facts));
                scope.commit.map_or(Value::Null, commit)
            }
        }
    }

    fn eval(&mut self, expr: &'a Expr) -> Result<Value<'a>, Fault> {
        let here = |wrong: Wrong| wrong.at(expr.range);
        self.meter.take(1).map_err(|spent| here(spent.into()))?;
        match &expr.kind {
            Kind::Constant(constant) => Ok(constant_value(constant)),
            Kind::Variable(variable) => Ok(self.variable(*variable)),
            Kind::Local(index) => Ok(self.locals.get(*index).cloned().unwrap_or(Value::Null)),
            Kind::List(items) => Ok(Value::list(self.eval_all(items)?)),
            Kind::Map(entries) => self.map(entries),
            Kind::Field(operand, name) => {
                let operand = self.eval(operand)?;
                self.member(&operand, &Value::from(name.as_str())).map_err(here)
            }
            Kind::Has(operand, name) => {
                let operand = self.eval(operand)?;
                self.has(&operand, name).map_err(here)
            }
            Kind::Index(pair) => {
                let (operand, index) = self.pair(pair)?;
                self.member(&operand, &index).map_err(here)
            }
            Kind::Not(operand) => Ok(Value::Bool(!self.boolean(operand, "!")?)),
            Kind::Negate(operand) => arithmetic::negated(&self.eval(operand)?).map_err(here),
            Kind::Logic(logic, pair) => self.logic(*logic, pair).map(Value::Bool),
            Kind::Choice(parts) => {
                let [condition, then, otherwise] = &**parts;
                let taken = if self.boolean(condition, "?")? {
                    then
                } else {
                    otherwise
                };
                self.eval(taken)
            }
            Kind::Arithmetic(how, pair) => {
                let (a, b) = self.pair(pair)?;
                arithmetic::compute(*how, (&a, &b), &mut self.meter).map_err(here)
            }
            Kind::Equal(pair) => {
                let (a, b) = self.pair(pair)?;
                let equal = compare::equal(&a, &b, &mut self.meter);
                equal.map(Value::Bool).map_err(|spent| here(spent.into()))
            }
            Kind::Order(how, pair) => {
                let (a, b) = self.pair(pair)?;
                let ordered = compare::ordered(*how, (&a, &b), &mut self.meter);
                ordered.map(Value::Bool).map_err(here)
            }
            Kind::In(pair) => {
                let (value, container) = self.pair(pair)?;
                let contains = compare::contains(&container, &value, &mut self.meter);
                contains.map(Value::Bool).map_err(here)
            }
            Kind::Call(function, arguments) => {
                let arguments = self.eval_all(arguments)?;
                (function.run)(self, &arguments).map_err(here)
            }
            Kind::Loop(parts) => self.run_loop(parts),
        }
    }

    fn eval_all(&mut self, exprs: &'a [Expr]) -> Result<Vec<Value<'a>>, Fault> {
        exprs.iter().map(|expr| self.eval(expr)).collect()
    }

    fn pair(&mut self, [left, right]: &'a [Expr; 2]) -> Result<(Value<'a>, Value<'a>), Fault> {
        Ok((self.eval(left)?, self.eval(right)?))
    }

    fn boolean(&mut self, expr: &'a Expr, who: &str) -> Result<bool, Fault> {
        let value = self.eval(expr)?;
        let Value::Bool(value) = value else {
            return Err(Wrong::takes(who, "a boolean", &value).at(expr.range));
        };
        Ok(value)
    }

    fn map(&mut self, entries: &'a [(Expr, Expr)]) -> Result<Value<'a>, Fault> {
        let mut made = BTreeMap::new();
        for (key_expr, value) in entries {
            let key = self.eval(key_expr)?;
            let Some(key) = Key::of(&key) else {
                let words = key.kind().in_words();
                let wrong = Wrong::new(format!(
                    "a key is a string, an integer or a boolean, found {words}"
                ));
                return Err(wrong.at(key_expr.range));
            };
            let value = self.eval(value)?;
            if made.insert(key, value).is_some() {
                return Err(Wrong::new("the map has this key twice").at(key_expr.range));
            }
        }
        Ok(Value::Map(Map::Made(Rc::new(made))))
    }

    /// Either side decides alone, even beside an error: that is what makes `has(a.b) && a.b > 1` and its mirror image
    /// say the same.
    fn logic(&mut self, logic: Logic, [left, right]: &'a [Expr; 2]) -> Result<bool, Fault> {
        let (sign, decisive) = match logic {
            Logic::And => ("&&", false),
            Logic::Or => ("||", true),
        };
        let left = match self.boolean(left, sign) {
            Ok(value) if value == decisive => return Ok(decisive),
            Ok(value) => Ok(value),
            Err(fault) => Err(self.passed_over(fault)?),
        };
        let right = self.boolean(right, sign)?;
        if right == decisive { Ok(decisive) } else { left }
    }

    /// What may still be outweighed by a value that decides.
    fn passed_over(&mut self, fault: Fault) -> Result<Fault, Fault> {
        match fault.wrong {
            Wrong::Spent(_) => Err(fault),
            Wrong::Value { .. } => match self.meter.take(FAULT_STEPS) {
                Ok(()) => Ok(fault),
                Err(spent) => Err(Wrong::from(spent).at(fault.range)),
            },
        }
    }

    fn run_loop(&mut self, parts: &'a Loop) -> Result<Value<'a>, Fault> {
        let over = self.eval(&parts.over)?;
        let items = self.items(&over).map_err(|wrong| wrong.at(parts.over.range))?;
        match parts.what {
            LoopKind::All => self.quantify(&items, &parts.body, Logic::And).map(Value::Bool),
            LoopKind::Exists => self.quantify(&items, &parts.body, Logic::Or).map(Value::Bool),
            LoopKind::ExistsOne => {
                let found = self.filtered(&items, &parts.body)?;
                Ok(Value::Bool(found.len() == 1))
            }
            LoopKind::Filter => self.filtered(&items, &parts.body).map(Value::list),
            LoopKind::Map => self.mapped(items, parts).map(Value::list),
        }
    }

    /// What a loop goes through: the elements of a list, the keys of a map.
    fn items(&mut self, over: &Value<'a>) -> Result<List<'a>, Wrong> {
        match over {
            Value::List(list) => Ok(list.clone()),
            Value::Map(map) => {
                self.meter.take_items(map.len())?;
                Ok(List::Made(Rc::new(map.keys())))
            }
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Double(_)
            | Value::Text(_)
            | Value::Duration(_)
            | Value::Type(_) => Err(Wrong::new(format!(
                "a loop goes through a list or an object, found {}",
                over.kind().in_words()
            ))),
        }
    }

    /// Whether all elements, or any, satisfy the body; one that decides outweighs errors of others.
    fn quantify(&mut self, items: &List<'a>, body: &'a Expr, logic: Logic) -> Result<bool, Fault> {
        let decisive = logic == Logic::Or;
        let mut first_fault = None;
        for item in items.iter() {
            match self.test(item, body) {
                Ok(value) if value == decisive => return Ok(decisive),
                Ok(_) => {}
                Err(fault) => {
                    let fault = self.passed_over(fault)?;
                    first_fault = first_fault.or(Some(fault));
                }
            }
        }
        first_fault.map_or(Ok(!decisive), Err)
    }

    fn filtered(&mut self, items: &List<'a>, body: &'a Expr) -> Result<Vec<Value<'a>>, Fault> {
        let mut found = Vec::new();
        for item in items.iter() {
            if self.test(item.clone(), body)? {
                found.push(item);
            }
        }
        Ok(found)
    }

    fn mapped(&mut self, items: List<'a>, parts: &'a Loop) -> Result<Vec<Value<'a>>, Fault> {
        let items = match &parts.guard {
            Some(guard) => List::Made(Rc::new(self.filtered(&items, guard)?)),
            None => items,
        };
        items
            .iter()
            .map(|item| self.with(item, |machine| machine.eval(&parts.body)))
            .collect()
    }

    fn test(&mut self, item: Value<'a>, body: &'a Expr) -> Result<bool, Fault> {
        let value = self.with(item, |machine| machine.eval(body))?;
        let Value::Bool(value) = value else {
            let words = value.kind().in_words();
            return Err(
                Wrong::new(format!("the condition of a loop is true or false, found {words}")).at(body.range),
            );
        };
        Ok(value)
    }

    /// Runs the inside of a loop.
    fn with<T>(&mut self, item: Value<'a>, inside: impl FnOnce(&mut Self) -> T) -> T {
        self.locals.push(item);
        let result = inside(self);
        self.locals.pop();
        result
    }
}

fn constant_value(constant: &Constant) -> Value<'_> {
    match constant {
        Constant::Null => Value::Null,
        Constant::Bool(value) => Value::Bool(*value),
        Constant::Int(value) => Value::Int(*value),
        Constant::Double(value) => Value::Double(*value),
        Constant::Text(text) => Value::from(text.as_str()),
        Constant::Type(kind) => Value::Type(*kind),
    }
}
