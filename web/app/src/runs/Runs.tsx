export function Runs() {
  return <div class="scroller"><div class="column">Searches</div></div>;
}
