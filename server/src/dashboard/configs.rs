//! The configs of the tip.

use askama::Template;
use headwater_wire::ConfigList;

use super::api::Told;
use super::asked::Asked;
use super::frame::{Frame, Section};
use super::show::{Page, live_block};
use super::words::Link;

/// One config.
struct Row {
    link: Link,
    version: Link,
    digest: String,
    rollout: String,
    variants: String,
    instances: String,
}

/// The page.
#[derive(Template)]
#[template(path = "configs.html", blocks = ["live"])]
pub(super) struct Configs {
    frame: Frame,
    rows: Vec<Row>,
}

impl Page for Configs {
    async fn load(asked: &Asked) -> Told<Self> {
        let list: ConfigList = asked.api.get(asked.v1().part("configs")).await?;
        let links = asked.links();
        let row = |item: &headwater_wire::ConfigItem| Row {
            link: Link::new(links.config(&item.name), item.name.to_string()),
            version: Link::commit(&links, &item.version),
            digest: item.digest.hex().chars().take(12).collect(),
            rollout: item.rollout.clone().unwrap_or_else(|| "immediate".to_owned()),
            variants: item.variants.join(", "),
            instances: links
                .page("instances")
                .query("config", item.name.as_str())
                .into_text(),
        };
        Ok(Self {
            frame: Frame::load(asked, Section::Configs, "Configs").await?,
            rows: list.configs.iter().map(row).collect(),
        })
    }

    live_block!();
}
