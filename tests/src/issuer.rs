//! An issuer of tokens: it has real keys, signs whatever it is told to, and says its public keys over HTTP.
//!
//! Invariant: what it signs is signed by the rules, also where what is signed is not. People log in at it without a page:
//! whoever is sent there is let in as [`TestIssuer::is_logged_in`] says. A code is exchanged once, for the verifier, the
//! client and the address that it was made for.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A key that signs.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// What tokens call it.
    pub id: String,
    pair: Arc<Pair>,
}

#[derive(Debug)]
enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// A new one for `RS256`, `ES256` or `EdDSA`.
    pub fn new(id: &str, algorithm: &str) -> Self {
        let pair = match algorithm {
            "RS256" => Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")),
            "ES256" => Pair::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key")),
            "EdDSA" => Pair::Ed25519(Ed25519KeyPair::generate().expect("a key")),
            other => panic!("no key for {other}"),
        };
        Self {
            id: id.to_owned(),
            pair: Arc::new(pair),
        }
    }

    /// The name of what it signs by.
    pub fn algorithm(&self) -> &'static str {
        match &*self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    /// What everybody may know of it.
    pub fn public(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &*self.pair {
            Pair::Rsa(pair) => {
                // RFC 8017: a sequence of two integers, of known lengths for 2,048 bits and the exponent 65,537.
                let der = pair.public_key().as_ref();
                let (n, e) = (
                    der.get(9..265).expect("a modulus"),
                    der.get(267..).expect("an exponent"),
                );
                json!({"kty": "RSA", "use": "sig", "kid": self.id, "n": text(n), "e": text(e)})
            }
            Pair::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..).expect("a point").split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": self.id, "x": text(x), "y": text(y)})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": text(pair.public_key().as_ref())})
            }
        }
    }

    /// A token that says this.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_under(&json!({"alg": self.algorithm(), "kid": self.id}), claims)
    }

    /// The same under another head.
    pub fn sign_under(&self, head: &Value, claims: &Value) -> String {
        let signed = unsigned(head, claims);
        let message = signed.as_bytes();
        let random = SystemRandom::new();
        let signature = match &*self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .expect("a signature");
                signature
            }
            Pair::P256(pair) => pair
                .sign(&random, message)
                .expect("a signature")
                .as_ref()
                .to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What of a token is signed.
pub fn unsigned(head: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(head), part(claims))
}

/// The issuer. It ends with the process.
#[derive(Debug, Clone)]
pub struct TestIssuer {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    keys: Vec<SigningKey>,
    is_down: bool,
    fetches: usize,
    client: Option<Client>,
    /// What tokens say of whoever logs in, beside what the login itself says.
    person: Value,
    /// What a code was made for, by the code.
    codes: BTreeMap<String, BTreeMap<String, String>>,
    made: usize,
}

/// A service at which people log in by it.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its name.
    pub id: String,
    /// Its secret, if it has one.
    pub secret: Option<String>,
    /// How it sends the secret: `client_secret_basic` or `client_secret_post`.
    pub method: &'static str,
    /// Where browsers come back to.
    pub redirect_uri: String,
}

impl TestIssuer {
    /// Starts one with these keys.
    pub fn start(keys: &[SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let issuer = Self {
            addr: listener.local_addr().expect("an address"),
            state: Arc::default(),
        };
        issuer.has(keys);
        let answering = issuer.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answering.answer(stream);
            }
        });
        issuer
    }

    /// Its address, which its tokens say as `iss`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Has these keys from now on, and no others.
    pub fn has(&self, keys: &[SigningKey]) {
        self.lock().keys = keys.to_vec();
    }

    /// Answers nothing of use from now on.
    pub fn breaks(&self) {
        self.lock().is_down = true;
    }

    /// Knows a service at which people log in by it.
    pub fn knows(&self, client: Client) {
        self.lock().client = Some(client);
    }

    /// Whoever is sent there is this one from now on.
    pub fn is_logged_in(&self, person: &Value) {
        self.lock().person = person.clone();
    }

    /// What a browser comes back to with, that was sent to `address` and whom it has let in.
    pub fn log_in(&self, address: &str) -> String {
        let query = address
            .strip_prefix(&format!("{}/authorize?", self.url()))
            .expect("its own address");
        let asked = pairs(query);
        let mut state = self.lock();
        let client = state.client.clone().expect("a client");
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["client_id"], client.id);
        assert_eq!(asked["redirect_uri"], client.redirect_uri);
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
        state.made += 1;
        let code = format!("code-{}", state.made);
        let back = format!(
            "{}?code={code}&state={}&iss={}",
            client.redirect_uri,
            asked["state"],
            escaped(&self.url())
        );
        state.codes.insert(code, asked);
        back
    }

    /// How often its keys were fetched.
    pub fn fetches(&self) -> usize {
        self.lock().fetches
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, mut stream: TcpStream) {
        let Some(asked) = asked(&stream) else { return };
        let mut state = self.lock();
        let (status, body) = match asked.path.as_str() {
            _ if state.is_down => ("503 Service Unavailable", json!({})),
            "/.well-known/openid-configuration" => ("200 OK", self.says(&state)),
            "/token" => self.exchange(&mut state, &asked),
            "/keys" => {
                state.fetches += 1;
                let keys: Vec<Value> = state.keys.iter().map(SigningKey::public).collect();
                ("200 OK", json!({"keys": keys}))
            }
            _ => ("404 Not Found", json!({})),
        };
        drop(state);
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        // Whoever asked may be gone.
        stream.write_all(format!("{head}{body}").as_bytes()).ok();
    }
}

impl TestIssuer {
    /// What it says of itself.
    fn says(&self, state: &State) -> Value {
        let url = self.url();
        let mut says = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        if let Some(client) = &state.client {
            says["authorization_endpoint"] = format!("{url}/authorize").into();
            says["token_endpoint"] = format!("{url}/token").into();
            says["token_endpoint_auth_methods_supported"] = json!([client.method]);
            says["authorization_response_iss_parameter_supported"] = true.into();
        }
        says
    }

    /// A token for a code, by the rules of RFC 6749 and RFC 7636.
    fn exchange(&self, state: &mut State, asked: &Asked) -> (&'static str, Value) {
        let refused = |error: &str| {
            (
                "400 Bad Request",
                json!({"error": error, "error_description": "s3cret words"}),
            )
        };
        let form = pairs(&asked.body);
        let of = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let Some(client) = state.client.clone() else {
            return refused("invalid_client");
        };
        let is_client = match (&client.secret, client.method) {
            (None, _) => of("client_id") == client.id && asked.authorization.is_none(),
            (Some(secret), "client_secret_basic") => {
                let pair = format!("{}:{}", escaped(&client.id), escaped(secret));
                asked.authorization == Some(format!("Basic {}", STANDARD.encode(pair)))
            }
            (Some(secret), _) => of("client_id") == client.id && of("client_secret") == secret,
        };
        if !is_client {
            return refused("invalid_client");
        }
        let Some(made_for) = state.codes.remove(of("code")) else {
            return refused("invalid_grant");
        };
        let verifier = digest(&SHA256, of("code_verifier").as_bytes());
        let is_for = of("grant_type") == "authorization_code"
            && of("redirect_uri") == made_for["redirect_uri"]
            && URL_SAFE_NO_PAD.encode(verifier.as_ref()) == made_for["code_challenge"];
        if !is_for {
            return refused("invalid_grant");
        }
        let mut claims = json!({"iss": self.url(), "aud": client.id, "nonce": made_for["nonce"]});
        for (name, value) in state.person.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        let token = state.keys.first().expect("a key").sign(&claims);
        (
            "200 OK",
            json!({"access_token": "unused", "token_type": "Bearer", "id_token": token}),
        )
    }
}

/// What somebody asks.
struct Asked {
    path: String,
    authorization: Option<String>,
    body: String,
}

fn asked(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length, mut authorization) = (String::new(), 0, None);
    reader.read_line(&mut first).ok()?;
    // To the end of the head, or the answer is lost with what nobody read.
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().ok()?;
            }
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                authorization = Some(value.to_owned());
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        path: first.split(' ').nth(1)?.to_owned(),
        authorization,
        body: String::from_utf8(body).ok()?,
    })
}

/// The pairs of a form or a query.
pub fn pairs(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (plain(name), plain(value))).collect()
}

fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                u8::from_str_radix(std::str::from_utf8(&digits).expect("digits"), 16).expect("a byte")
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).expect("a text")
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
