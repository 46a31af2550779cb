//! Who asks: key pairs, tokens (JWT, HS256) and the `auth.*` endpoints.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::Sha256;

use super::call::{ApiError, Call, Version, new_id};
use super::credentials::{Credentials, random_text, same_secret};
use super::store::{Documents, Kind};
use super::time::Moment;

/// The newest API version we speak; the clients read it from the token.
pub(super) const API_VERSION: Version = Version(2, 31);
/// The release of the open server that we follow.
pub(super) const SERVER_VERSION: &str = "2.0.0";

const DEFAULT_LIFE_S: i64 = 2_592_000;
const MAX_LIFE_S: i64 = 31_536_000;

/// The one user and the one company of a local server.
pub(super) const USER_ID: &str = "c1ea2d1d00000000000000000000a001";
pub(super) const USER_NAME: &str = "local";
pub(super) const COMPANY_ID: &str = "d1bd92a3b039400cbafc60a7a5b1e52b";
pub(super) const COMPANY_NAME: &str = "local";

/// Who a call is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) user: String,
    pub(super) user_name: String,
    /// The session of the token; none when a key pair was shown.
    pub(super) session: Option<String>,
}

/// What tokens are signed and key pairs are checked with.
pub(super) struct Authority {
    credentials: Credentials,
    signer: Hmac<Sha256>,
    /// How often all tokens were revoked. A restart forgets it, as it forgets every fault.
    epoch: AtomicU64,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("access_key", &self.credentials.access_key).finish_non_exhaustive()
    }
}

/// The proof that a request carries.
#[derive(Debug)]
pub(super) enum Proof {
    Pair { access_key: String, secret_key: SecretString },
    Token(SecretString),
    Missing,
    Malformed(ApiError),
}

// === impl Proof ===

impl Proof {
    /// Reads the Authorization header, or the cookie if there is none.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let Some(header) = headers.get("authorization") else {
            return cookie_token(headers).map_or(Self::Missing, Self::Token);
        };
        let (scheme, rest) = header.to_str().unwrap_or_default().split_once(' ').unwrap_or_default();
        match scheme {
            "Bearer" => Self::Token(SecretString::from(rest.trim().to_owned())),
            "Basic" => match decode_pair(rest.trim()) {
                Some((access_key, secret_key)) => Self::Pair { access_key, secret_key },
                None => Self::Malformed(ApiError::new(401, 21, "Unauthorized (malformed credentials)")),
            },
            _ => Self::Malformed(ApiError::new(401, 10, "Unauthorized (bad authentication header type)")),
        }
    }

    pub(super) fn is_token(&self) -> bool {
        matches!(self, Self::Token(_))
    }
}

fn decode_pair(text: &str) -> Option<(String, SecretString)> {
    let decoded = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (access_key, secret_key) = decoded.split_once(':')?;
    Some((access_key.to_owned(), SecretString::from(secret_key.to_owned())))
}

fn cookie_token(headers: &HeaderMap) -> Option<SecretString> {
    let cookies = headers.get_all("cookie").iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, token) = pairs.find(|(name, _)| *name == "clearml_token_basic")?;
    Some(SecretString::from(token.to_owned()))
}

// === impl Authority ===

impl Authority {
    /// None if the secret is too short to sign with: then somebody has tampered with its file.
    pub(super) fn new(credentials: Credentials, secret: &SecretString) -> Option<Self> {
        let secret = secret.expose_secret().as_bytes();
        let signer = Hmac::<Sha256>::new_from_slice(secret).ok().filter(|_| secret.len() >= 32)?;
        Some(Self { credentials, signer, epoch: AtomicU64::new(0) })
    }

    /// Whatever was given out so far is refused from now on.
    pub(super) fn revoke_tokens(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// Who shows this proof.
    pub(super) fn identify(&self, proof: &Proof, documents: &Documents<'_>, now: Moment) -> Result<Identity, ApiError> {
        let session = match proof {
            Proof::Missing => return Err(ApiError::new(401, 20, "Unauthorized (missing credentials)")),
            Proof::Malformed(error) => return Err(error.clone()),
            Proof::Pair { access_key, secret_key } => {
                self.check_pair(access_key, secret_key, documents)?;
                None
            }
            Proof::Token(token) => Some(self.check_token(token.expose_secret(), documents, now)?),
        };
        Ok(Identity { user: USER_ID.to_owned(), user_name: USER_NAME.to_owned(), session })
    }

    fn check_pair(&self, access: &str, secret: &SecretString, documents: &Documents<'_>) -> Result<(), ApiError> {
        let ours = if access == self.credentials.access_key {
            Some(self.credentials.secret_key.clone())
        } else {
            let pair = documents.get(Kind::Setting, &format!("pair:{access}"))?;
            pair.and_then(|pair| pair["secret_key"].as_str().map(|text| SecretString::from(text.to_owned())))
        };
        match ours {
            Some(ours) if same_secret(&ours, secret.expose_secret()) => Ok(()),
            Some(_) | None => Err(ApiError::new(
                401,
                22,
                "Unauthorized (invalid credentials) (failed to locate provided credentials)",
            )),
        }
    }

    /// The session of a token that is ours, unexpired and not logged out.
    fn check_token(&self, token: &str, documents: &Documents<'_>, now: Moment) -> Result<String, ApiError> {
        let invalid = |reason: &str| ApiError::new(401, 30, format!("Unauthorized (invalid token) (reason={reason})"));
        let (signed, signature) = token.rsplit_once('.').ok_or_else(|| invalid("Not enough segments"))?;
        let (header, claims) = signed.split_once('.').ok_or_else(|| invalid("Not enough segments"))?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| invalid("Invalid crypto padding"))?;
        self.signer
            .clone()
            .chain_update(signed)
            .verify_slice(&signature)
            .map_err(|_| invalid("Signature verification failed"))?;
        let decode = |part: &str| {
            URL_SAFE_NO_PAD.decode(part).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        };
        // Only we sign with this secret, but a token of another algorithm is not what we gave out.
        let header = decode(header).ok_or_else(|| invalid("Invalid header"))?;
        let claims = decode(claims).ok_or_else(|| invalid("Invalid payload"))?;
        if header["alg"] != "HS256" {
            return Err(invalid("The specified alg value is not allowed"));
        }
        if claims["exp"].as_i64().is_some_and(|exp| exp <= now.seconds()) {
            return Err(invalid("Signature has expired"));
        }
        let session = claims["session_id"].as_str().unwrap_or_default().to_owned();
        let is_of_old = claims["epoch"].as_u64().unwrap_or(0) < self.epoch.load(Ordering::Relaxed);
        if is_of_old || documents.get(Kind::Setting, &format!("session:{session}"))?.is_some() {
            return Err(invalid("Token has been revoked"));
        }
        Ok(session)
    }

    fn issue(&self, who: &Identity, life_s: i64, now: Moment) -> String {
        let claims = json!({
            "auth_type": "Bearer",
            "identity": {
                "user": who.user, "company": COMPANY_ID, "role": "admin",
                "user_name": who.user_name, "company_name": COMPANY_NAME,
            },
            "env": "<unknown>",
            "session_id": new_id(),
            "epoch": self.epoch.load(Ordering::Relaxed),
            "iat": now.seconds(),
            "exp": now.seconds() + life_s,
            "api_version": API_VERSION.to_string(),
            "server_version": SERVER_VERSION,
            "server_build": "",
            "feature_set": "basic",
        });
        let header = json!({"typ": "JWT", "alg": "HS256"});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.signer.clone().chain_update(&signed).finalize().into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Acts for another user if the headers ask for it. The only other user there is, is oneself.
pub(super) fn impersonate(headers: &HeaderMap, who: Identity) -> Result<Identity, ApiError> {
    let header = |clearml: &str, trains: &str| {
        headers.get(clearml).or_else(|| headers.get(trains)).and_then(|value| value.to_str().ok())
    };
    let wanted = header("x-clearml-impersonate-as", "x-trains-impersonate-as");
    let acting = header("x-clearml-act-as", "x-trains-act-as");
    match (wanted, acting) {
        (Some(_), Some(_)) => Err(ApiError::new(400, 5, "Invalid headers (only one of impersonate-as and act-as)")),
        (Some(user), None) | (None, Some(user)) if user != who.user => {
            Err(ApiError::new(400, 6, format!("Impersonation error (unknown user): user={user}")))
        }
        (Some(_), None) | (None, Some(_)) | (None, None) => Ok(who),
    }
}

pub(super) fn login(call: &Call<'_>) -> Result<Value, ApiError> {
    let life_s = match call.integer("expiration_sec")? {
        None | Some(0) => DEFAULT_LIFE_S,
        Some(seconds) if seconds > MAX_LIFE_S => {
            return Err(ApiError::invalid_field("expiration_sec", "it is above one year"));
        }
        Some(seconds) => seconds,
    };
    Ok(json!({"token": call.authority.issue(&call.who, life_s, call.now)}))
}

pub(super) fn logout(call: &Call<'_>) -> Result<Value, ApiError> {
    if let Some(session) = &call.who.session {
        let revoked = json!({"revoked_at": call.now.text()});
        call.documents.put(Kind::Setting, &format!("session:{session}"), &revoked)?;
    }
    Ok(json!({}))
}

pub(super) fn create_credentials(call: &Call<'_>) -> Result<Value, ApiError> {
    let random = |length, alphabet: &[u8]| {
        random_text(length, alphabet).map_err(|error| ApiError::new(500, 0, format!("General error: {error}")))
    };
    let access_key = random(30, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")?;
    let secret_key = random(50, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")?;
    let label = call.text("label")?;
    let pair = json!({"access_key": access_key, "secret_key": secret_key, "label": label});
    call.documents.put(Kind::Setting, &format!("pair:{access_key}"), &pair)?;
    Ok(json!({"credentials": pair}))
}

pub(super) fn get_credentials(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut pairs = vec![json!({"access_key": call.authority.credentials.access_key, "label": null})];
    for setting in call.documents.list(Kind::Setting, &Default::default())? {
        if setting.get("secret_key").is_some() {
            pairs.push(json!({"access_key": setting["access_key"], "label": setting["label"]}));
        }
    }
    Ok(json!({"credentials": pairs}))
}

pub(super) fn revoke_credentials(call: &Call<'_>) -> Result<Value, ApiError> {
    let access_key = call.required_text("access_key")?;
    let revoked = call.documents.remove(Kind::Setting, &format!("pair:{access_key}"))?;
    if !revoked {
        return Err(ApiError::new(400, 75, format!("Invalid access key: access_key={access_key}")));
    }
    Ok(json!({"revoked": 1}))
}
